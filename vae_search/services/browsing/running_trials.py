"""Trials and confirm runs in flight, as far as the store knows: configs, saved epochs, and their curves until then."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from vae_search.errors import CorruptStore, NotFound
from vae_search.search.messages import MEASUREMENTS_FILE
from vae_search.search.pruning import rung_epochs
from vae_search.services.browsing.kept_answers import KeptAnswers
from vae_search.services.payloads import Facts
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.control.present_spec import present_spec
from vae_search.store.ledger.checkpoints import PAUSE_FILE, newest_whole, read_one_file
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

SWEEPS = 64  # whose runs in flight are kept

Curve = tuple[tuple[int, float], ...]
"""epochs from 1, and neg_elbo after each, nats per image"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """Runs in flight of one sweep at one look.

    Args:
        runs: as of `running_trials`, each with its `curve` up to the newest checkpoint.
        rungs: epochs at which trials are compared.
        epochs: of a trial that is not pruned.
        best: curve of the best trial so far, to hold the others against.
    """

    runs: tuple[Facts, ...]
    rungs: tuple[int, ...]
    epochs: int
    best: Curve
    folders: dict[str, str]
    """of the checkpoints that the curves were read from, by key"""
    incarnation: str | None
    """of the sweep; another sweep of this name has other curves"""


class RunningReader:
    """Runs in flight with their curves; only checkpoints that are new are read, once for all readers."""

    def __init__(self, store: Store, *, monotonic: Callable[[], float], look_s: float) -> None:
        self._store = store
        self._kept = KeptAnswers[InFlight](self._look, fresh_s=lambda _: look_s, monotonic=monotonic, most=SWEEPS)

    def read(self, facts: Facts) -> InFlight:
        """The runs in flight of a sweep, which may be some moments old.

        Args:
            facts: of the sweep, as `SweepReader` has them.

        Raises:
            NotFound: There is no such sweep.
            CorruptStore: Its record is damaged.
        """
        best = facts["best_trial"]
        return self._kept.answer(f"{facts['sweep']} {'' if best is None else best}")

    def run(self, facts: Facts, trial: int) -> Facts | None:
        """One trial in flight with its curve; None if it is not. What is raised is as for `read`."""
        key = store_paths.trial_key(trial)
        return next((run for run in self.read(facts).runs if run["key"] == key), None)

    def _look(self, name: str, before: InFlight | None) -> InFlight:
        sweep, _, best = name.partition(" ")
        record = sweep_record.read_stored(self._store, sweep)
        spec = present_spec(self._store, record)
        before = None if before is None or before.incarnation != record.incarnation else before
        listed = self._store.list(SweepPaths(sweep).running)
        folders = newest_whole(sweep, listed)
        kept = {} if before is None else {run["key"]: run["curve"] for run in before.runs}
        known = {} if before is None else before.folders
        new = {key: folder for key, folder in folders.items() if known.get(key) != folder}
        read = read_one_file(self._store, new, MEASUREMENTS_FILE)
        curves = kept | {key: curve_of(content) for key, content in read.items()}
        return InFlight(
            runs=tuple(run | {"curve": curves.get(run["key"], ())} for run in _runs(listed)),
            rungs=rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs),
            epochs=spec.budget.epochs,
            best=before.best if before is not None and before.best else _finished_curve(self._store, sweep, best),
            folders={key: folder for key, folder in folders.items() if key in read or key not in new},
            incarnation=record.incarnation,
        )


def curve_of(content: bytes) -> Curve:
    """The learning curve in the measurements of a checkpoint; empty if they cannot be understood."""
    try:
        return tuple((int(each["epoch"]), float(each["neg_elbo"])) for each in json.loads(content))
    except (ValueError, TypeError, KeyError):  # of another version of this program
        return ()


def running_trials(store: Store, sweep: str) -> list[Facts]:
    """Runs in flight, by trial; `key` tells a confirm run (000042-s1) from its trial (000042)."""
    return _runs(store.list(SweepPaths(sweep).running))


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


def _runs(listed: list[str]) -> list[Facts]:
    epochs: dict[str, int] = {}
    waiting: set[str] = set()
    issued: set[str] = set()
    for path in listed:
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


def _finished_curve(store: Store, sweep: str, trial: str) -> Curve:
    """The curve of a finished trial; empty if there is none, or if it is damaged."""
    if not trial:
        return ()
    try:
        epochs = Ledger(store, sweep).epochs(int(trial))
    except (NotFound, CorruptStore):
        return ()
    return tuple((each.epoch, each.neg_elbo) for each in epochs if each.neg_elbo is not None)
