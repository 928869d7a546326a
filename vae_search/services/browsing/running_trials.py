"""Trials and confirm runs in flight, as far as the store knows: their configs and the epochs that they have saved."""

from vae_search.errors import NotFound
from vae_search.services.payloads import Facts
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.paths import SweepPaths


def running_trials(store: Store, sweep: str) -> list[Facts]:
    """Runs in flight, by trial; `key` tells a confirm run (000042-s1) from its trial (000042)."""
    epochs: dict[str, int] = {}
    waiting: set[str] = set()
    issued: set[str] = set()
    for path in store.list(SweepPaths(sweep).running):
        key = store_paths.running_key_of(path)
        if key is None:
            continue
        epoch, _ = store_paths.checkpoint_of(path) or (0, 0)
        epochs[key] = max(epochs.get(key, 0), epoch)
        if path.endswith(f"/{PAUSE_FILE}"):
            waiting.add(key)
        if store_paths.is_suggestion(path):
            issued.add(key)
    return [
        {
            "key": key,
            "trial": int(key.partition("-")[0]),
            "confirm_run": "-" in key,
            "epochs": epochs[key],
            "waits_at_rung": key in waiting,
        }
        for key in sorted(issued)
    ]


def running_trial(store: Store, sweep: str, number: int) -> Facts:
    """One trial in flight, with its config.

    Raises:
        NotFound: It is not in flight.
    """
    key = store_paths.trial_key(number)
    found = next((facts for facts in running_trials(store, sweep) if facts["key"] == key), None)
    if found is None:
        raise NotFound(f"sweep {sweep}: trial {number} is not in flight.")
    path = SweepPaths(sweep).suggestion(key)
    params = from_json_bytes(store.read(path), where=path).get("params")
    return found | {"params": dict(params) if isinstance(params, dict) else {}}
