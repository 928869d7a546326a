"""Suggestions of trials in flight: durable before the trial starts, gone after its row is written (invariant I3)."""

from collections.abc import Mapping
from contextlib import suppress

from vae_search.errors import CorruptStore
from vae_search.search.orders import TrialOrder
from vae_search.store import layout
from vae_search.store.commit import AlreadyThere, Store
from vae_search.store.json_files import from_json_bytes, to_json_bytes


class Suggestions:
    """The running folders of one sweep."""

    def __init__(self, store: Store, sweep: str) -> None:
        self._store = store
        self._sweep = sweep

    def record(self, order: TrialOrder) -> None:
        """Make `order` durable; recording it again changes nothing."""
        content = to_json_bytes({"trial": order.trial, "params": dict(order.params), "seed": order.seed})
        with suppress(AlreadyThere):
            self._store.create(layout.suggestion(self._sweep, layout.trial_key(order.trial)), content)

    def all(self) -> list[TrialOrder]:
        """Every order without a row yet, by trial number.

        Raises:
            CorruptStore: A suggestion is damaged.
        """
        orders = []
        for path in self._store.list(layout.running(self._sweep)):
            if path.endswith("/suggestion.json"):
                orders.append(_order(from_json_bytes(self._store.read(path), where=path), where=path))
        return sorted(orders, key=lambda order: order.trial)

    def forget(self, trial: int) -> None:
        """Remove the running folder of a trial whose row is written."""
        self._store.remove_tree(layout.running_run(self._sweep, layout.trial_key(trial)))


def _order(record: Mapping[str, object], *, where: str) -> TrialOrder:
    trial, params, seed = record.get("trial"), record.get("params"), record.get("seed")
    if not (isinstance(trial, int) and isinstance(params, dict) and isinstance(seed, int)):
        raise CorruptStore(
            f"{where}: must hold trial, params and seed, but has {sorted(record)}. Restore it from a copy."
        )
    return TrialOrder(trial=trial, params=params, seed=seed)
