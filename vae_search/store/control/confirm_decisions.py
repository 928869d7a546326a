"""Decisions on the confirm runs of a planned sweep, as readers see them: their length, and the run that goes on."""

from dataclasses import dataclass

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.paths import SweepPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """The run that goes on from the best fresh seed's, as far as it is decided."""

    trial: int
    confirm_seed: int
    """the fresh seed"""
    from_epoch: int
    threads: int
    epochs: int | None
    """of the whole training; None as long as it goes on at the constant rate"""

    def __str__(self) -> str:
        until = "until the time is nearly over" if self.epochs is None else f"to {self.epochs}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"Seed {self.confirm_seed} goes on from epoch {self.from_epoch} {until}, with {threads}"


def decided_epochs(store: Store, sweep: str, *, incarnation: str | None) -> int | None:
    """Epochs that were decided for the confirm runs of a planned sweep; None if that is still open."""
    path = SweepPaths(sweep).confirm_length(incarnation)
    try:
        found = from_json_bytes(store.read(path), where=path).get("epochs")
    except NotFound:
        return None
    return found if isinstance(found, int) else None


def continuation_of(store: Store, sweep: str, *, incarnation: str | None) -> Continuation | None:
    """The run that goes on; None if none does, or that is still open.

    Raises:
        CorruptStore: The decision is damaged.
    """
    paths = SweepPaths(sweep)
    there = store.list(paths.control)
    numbered = [paths.confirm_length(incarnation, stage=number) for number in range(1, len(there) + 1)]
    stages = [path for path in numbered if path in there]
    if not stages:
        return None
    first = stages[0]
    record, last = (from_json_bytes(store.read(path), where=path) for path in (first, stages[-1]))
    names = ("trial", "confirm_seed", "from_epoch", "threads")
    values = [record.get(name) for name in names]
    until = last.get("until") if last.get("decay_epochs") else None
    if not all(isinstance(value, int) for value in values) or not isinstance(until, int | None):
        raise CorruptStore(f"must hold {', '.join(names)}.", path=first, advice="Restore it from a copy.")
    return Continuation(**dict(zip(names, values, strict=True)), epochs=until)  # type: ignore[arg-type]  # checked
