"""Decisions on the confirm runs of a planned sweep, as readers see them: their length, and the run that goes on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.paths import SweepPaths

OF_CONTINUATION = ("trial", "confirm_seed", "from_epoch", "threads")
"""of the first stage's record: what goes on, from where, with how many threads"""
OF_STAGE = ("until", "decay_epochs")
"""of each stage's: the last epoch of it, and those at its end in which the rate falls"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmDecision:
    """The decision on the confirm runs of fresh seeds."""

    epochs: int
    """of each"""
    turn_epochs: Mapping[int, int]
    """epoch at which some of the seeds give way once"""
    branch_epoch: int | None
    """epoch from which the best seed goes on, unless too little time is left then; None: it does not"""
    threads: int | None
    """of its training then"""
    trials: int | None = None
    """budget of trials by then; None in records of older versions"""
    minutes: float | None = None
    """budget of minutes by then, likewise"""
    kl_warmup_epochs: int | None = None
    """epochs of KL warm-up that each run has at least; None: the config's own, as in records of older versions"""

    def to_json(self) -> dict[str, Any]:
        """Fields of the record; what is None is left out."""
        record = asdict(self) | {"turn_epochs": {str(seed): epoch for seed, epoch in self.turn_epochs.items()}}
        return {name: value for name, value in record.items() if value is not None}


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


def confirm_decision(store: Store, sweep: str, *, incarnation: str | None) -> ConfirmDecision | None:
    """The decision on the confirm runs of a planned sweep; None if it is still open.

    Raises:
        CorruptStore: It is damaged.
    """
    path = SweepPaths(sweep).confirm_length(incarnation)
    try:
        record: Mapping[str, Any] = from_json_bytes(store.read(path), where=path)
        goes_on = "branch_epoch" in record
        return ConfirmDecision(
            epochs=int(record["epochs"]),
            turn_epochs={int(seed): int(epoch) for seed, epoch in record["turn_epochs"].items()},
            branch_epoch=int(record["branch_epoch"]) if goes_on else None,
            threads=int(record["threads"]) if goes_on else None,
            trials=int(record["trials"]) if "trials" in record else None,
            minutes=float(record["minutes"]) if "minutes" in record else None,
            kl_warmup_epochs=int(record["kl_warmup_epochs"]) if "kl_warmup_epochs" in record else None,
        )
    except NotFound:
        return None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptStore(
            f"must hold the epochs of confirm runs, but {error!r}.", path=path, advice="Restore it from a copy."
        ) from error


def stages_of(store: Store, sweep: str, *, incarnation: str | None) -> list[Mapping[str, Any]]:
    """Records of the stages that are decided of the run that goes on, in order; none if none does.

    Raises:
        CorruptStore: One is damaged.
    """
    paths, found = SweepPaths(sweep), list[Mapping[str, Any]]()
    there = {*store.list(paths.control)}
    while (path := paths.confirm_length(incarnation, stage=len(found) + 1)) in there:
        record = from_json_bytes(store.read(path), where=path)
        wanted = OF_STAGE if found else (*OF_STAGE, *OF_CONTINUATION)
        if not all(isinstance(record.get(name), int) for name in wanted):
            raise CorruptStore(
                f"must hold {', '.join(wanted)} of a confirm run that goes on.",
                path=path,
                advice="Restore it from a copy.",
            )
        found.append(record)
    return found


def continuation_of(store: Store, sweep: str, *, incarnation: str | None) -> Continuation | None:
    """The run that goes on; None if none does, or that is still open. Errors as of `stages_of`."""
    if not (stages := stages_of(store, sweep, incarnation=incarnation)):
        return None
    until = stages[-1]["until"] if stages[-1]["decay_epochs"] else None
    return Continuation(**{name: stages[0][name] for name in OF_CONTINUATION}, epochs=until)
