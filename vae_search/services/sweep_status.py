"""Status of sweeps, from the store alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.services.limits.limits_status import NO_LIMITS, LimitsStatus, limits_status
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.control.confirm_decisions import (
    ConfirmDecision,
    Continuation,
    confirm_decision,
    continuation_of,
)
from vae_search.store.control.present_spec import present_spec
from vae_search.store.leases.heartbeat import Heartbeat, last_heartbeat
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRunRows, ConfirmRuns
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.borrowing import Borrowing
from vae_search.store.sweeps.folders import SweepFolders, sweep_folders
from vae_search.store.sweeps.warm_started import WarmStarted

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """Status of a sweep, from the store alone."""

    spec: "SweepSpec"
    leaderboard: Leaderboard
    heartbeat: Heartbeat | None
    driver_s: float
    """seconds that drivers have spent on it"""
    is_exhausted: bool
    """whether its last driver left nothing to be done, with the same budget"""
    in_flight: int
    """trials and confirm runs that were issued and have no row yet, those that wait at a rung included"""
    confirm_rows: tuple[ConfirmRow, ...]
    """the confirm runs that have ended"""
    damaged_finalists: tuple[str, ...]
    """rows of confirm runs that could not be read"""
    images: DatasetSummary | None = None
    """as they were read when the sweep began; None if its record is from before they were kept"""
    incarnation: str | None = None
    """of its record: tells it from an earlier sweep of its name; None in records from before there was any"""
    borrowing: Borrowing | None = None
    """trials of another sweep that the sampler of a fork knows"""
    warm_started: WarmStarted | None = None
    """what it took from earlier sweeps when it began"""
    limits: LimitsStatus = NO_LIMITS
    """where it stands with budget.stop, budget.cpu_hours and budget.gpu_hours"""
    plan: Mapping[str, object] | None = None
    """of its record; None if the sweep divides no time"""
    confirm_decision: ConfirmDecision | None = None
    """of a planned sweep, once its search is over"""
    continuation: Continuation | None = None
    """of the best of them, where one goes on"""
    continued_rows: tuple[ConfirmRow, ...] = ()
    """its row, once it has ended"""

    @property
    def damaged(self) -> tuple[str, ...]:
        """Files that could not be read."""
        return (*self.leaderboard.damaged, *self.damaged_finalists)

    @property
    def used(self) -> int:
        """Trials of the budget that are over, those whose rows are lost included."""
        leaderboard = self.leaderboard
        return leaderboard.finished + len(leaderboard.damaged) + len(leaderboard.set_aside)

    @property
    def finished(self) -> bool:
        """True once the budget of trials is used and the best configs are confirmed, or the time is used."""
        budget = self.spec.budget
        time_is_up = budget.minutes is not None and self.driver_s >= 60.0 * budget.minutes
        goes_on = self.continuation is not None and not self.continued_rows  # to its end, whatever the clock says
        # A search leaves time for its confirm runs; if they take less, some of the budget's minutes remain.
        over = (time_is_up and not self.in_flight and not goes_on) or self.is_exhausted
        return over or (self.used >= budget.trials and self.is_confirmed and not self._may_go_on)

    @property
    def _may_go_on(self) -> bool:
        """True while the best seed goes on, or nobody has decided yet that too little time is left for it."""
        is_meant = self.confirm_decision is not None and self.confirm_decision.branch_epoch is not None
        is_meant = is_meant and all(row.state is State.COMPLETE for row in self.confirm_rows if row.confirm_seed > 0)
        return (is_meant or self.continuation is not None) and not self.continued_rows

    @property
    def ended_by_time(self) -> bool:
        """True once another limit, such as `budget.minutes`, has ended it before the budget of trials was used."""
        has_limit = self.spec.budget.minutes is not None or self.limits.ended_by is not None
        return self.finished and has_limit and self.used < self.spec.budget.trials

    @property
    def can_promote(self) -> bool:
        """True once a confirm run has completed."""
        return any(row.state is State.COMPLETE for row in self.confirm_rows)

    @property
    def is_confirmed(self) -> bool:
        """True once every confirm run that the spec asks for has ended."""
        from vae_search.search.planning.finalists import finalists_in, wanted_runs

        wanted = self.spec.confirm.finalists
        finalists = [row.trial for row in finalists_in(self.leaderboard, wanted, pareto_criteria(self.spec))]
        return not wanted_runs(finalists, self.confirm_rows, seeds=self.spec.confirm.seeds)

    @property
    def state(self) -> Literal["running", "finished", "interrupted"]:
        """In one word; an interrupted sweep goes on when it is run again."""
        # A driver on another machine cannot be looked up; until its lease ends it counts as running.
        if self.heartbeat is not None and self.heartbeat.alive is not False:
            return "running"
        return "finished" if self.finished else "interrupted"


def status(
    store: Store,
    sweep: str,
    *,
    spec: "SweepSpec | None" = None,
    leaderboard: Leaderboard | None = None,
    confirm_runs: ConfirmRunRows | None = None,
) -> SweepStatus:
    """Read the status of a sweep.

    Args:
        spec: what it is about to be run with; default: what its last driver ran it with.
        leaderboard: of the sweep, if it has been read already.
        confirm_runs: of the sweep, likewise.

    Raises:
        NotFound: There is no such sweep.
    """
    record = sweep_record.read_stored(store, sweep)
    latest = present_spec(store, record)
    confirm_runs = confirm_runs or ConfirmRuns(store, sweep, record).read()
    last = last_heartbeat(store, sweep)
    # An exhausted driver knew nothing of what was set after it had left.
    known = present_spec(store, record, until=last.progress.commands) if last and last.progress.exhausted else latest
    leaderboard = leaderboard or read_leaderboard(store, sweep, record=record)
    is_planned = (spec or latest).confirm.epochs == "auto"
    decision = confirm_decision(store, sweep, incarnation=record.incarnation) if is_planned else None
    return SweepStatus(
        spec=spec or latest,
        leaderboard=leaderboard,
        damaged_finalists=confirm_runs.damaged,
        heartbeat=None if last is None or last.ended else last,
        driver_s=last.progress.driver_s if last else 0.0,
        is_exhausted=last is not None and last.progress.exhausted and _same_budget(spec or latest, known),
        in_flight=sum(store_paths.is_suggestion(path) for path in store.list(SweepPaths(sweep).running)),
        confirm_rows=confirm_runs.rows,
        images=record.images,
        incarnation=record.incarnation,
        borrowing=record.borrowing,
        warm_started=record.warm_started,
        limits=limits_status(store, spec or latest, record, leaderboard, (*confirm_runs.rows, *confirm_runs.continued)),
        plan=record.plan,
        confirm_decision=decision,
        continuation=None if decision is None else continuation_of(store, sweep, incarnation=record.incarnation),
        continued_rows=confirm_runs.continued,
    )


def _same_budget(new: "SweepSpec", old: "SweepSpec") -> bool:
    return (new.budget, new.confirm) == (old.budget, old.confirm)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """Status of all sweeps of a store."""

    sweeps: tuple[SweepStatus, ...]
    """by name"""
    troubles: tuple[str, ...]
    """of sweeps that cannot be shown, since their record is damaged"""
    remarks: tuple[str, ...]
    """on folders that are no sweep"""


def statuses(store: Store) -> StoreStatus:
    """Read the status of all sweeps; neither a damaged one nor an odd folder takes it away from the others."""
    folders = sweep_folders(store)
    found, troubles = [], []
    for name in folders.sweeps:
        try:
            found.append(status(store, name))
        except NotFound:  # it has been removed meanwhile
            continue
        except CorruptStore as error:
            troubles.append(str(error))
    return StoreStatus(sweeps=tuple(found), troubles=tuple(troubles), remarks=remarks(folders))


def remarks(folders: SweepFolders) -> tuple[str, ...]:
    """Sentences on folders that are no sweep."""
    half_removed = (
        f"sweep {name}: is removed in part. `vae-search rm {name}` removes what is left."
        for name in folders.half_removed
    )
    odd = (
        f"{store_paths.SWEEPS}/{name}: is left out, since no sweep can have this name. Rename the folder, or move it "
        "elsewhere."
        for name in folders.odd
    )
    return (*half_removed, *odd)
