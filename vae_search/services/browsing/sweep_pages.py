"""Pages of sweeps, and facts of one that runs: for readers who look at a part of a store at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.services.browsing.shelf import Shelf
from vae_search.services.payloads import Facts, front_facts, status_facts, trial_facts
from vae_search.services.sweep_status import status
from vae_search.store.backends.base import Store
from vae_search.store.leases.records import newest_lease
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.folders import sweep_names

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.store.ledger.rows import TrialRow
    from vae_search.store.queries.live_progress import ProgressFollower


KEPT_S = 60.0
LIVE_KEPT_S = 1.0  # of what changes all the time
COSTS_KEPT = 5.0  # times as long as it took to read a leaderboard it is kept
LEADERBOARDS = 8  # kept at once; one of ten thousand trials has megabytes
BEST_POINTS = 40  # of a sparkline


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPage:
    """Some sweeps of a store, by name."""

    sweeps: tuple[Facts, ...]
    next: str | None
    """name of the last one, if there are more"""
    total: int
    """sweeps in the store with such names"""
    troubles: tuple[str, ...]
    """of sweeps that cannot be shown, since their record is damaged"""


class SweepReader:
    """Facts of sweeps, read anew only where they may have changed; safe for threads.

    Only a driver changes how a sweep stands, and it takes a lease with a new number first; and commands, which are
    numbered, change what it is to do. So the facts of a sweep that nobody runs hold until there is another lease or
    command; repairs by hand show after `KEPT_S`.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float]) -> None:
        self.store = store
        self._facts = Shelf[Facts](monotonic=monotonic, keep_s=lambda facts, _: _kept_s(facts))
        self._leaderboards = Shelf[Leaderboard](
            monotonic=monotonic, keep_s=lambda _, cost_s: max(LIVE_KEPT_S, COSTS_KEPT * cost_s), most=LEADERBOARDS
        )
        self._names = Shelf[list[str]](monotonic=monotonic, keep_s=lambda _, cost_s: max(LIVE_KEPT_S, cost_s))

    def facts(self, sweep: str) -> Facts:
        """Facts of one sweep, those of a running one as they were at most `LIVE_KEPT_S` ago.

        Raises:
            NotFound: There is no such sweep.
            CorruptStore: Its record is damaged.
        """
        mark = self._mark(sweep)
        return self._facts.take(sweep, lambda: sweep_facts(status(self.store, sweep)), mark=mark)

    def leaderboard(self, sweep: str) -> Leaderboard:
        """The leaderboard of one sweep, as it was at most a few moments ago; errors as for `facts`."""

        def read() -> Leaderboard:
            return read_leaderboard(self.store, sweep, record=sweep_record.read_stored(self.store, sweep))

        return self._leaderboards.take(sweep, read, mark=self._mark(sweep))

    def names(self) -> list[str]:
        """Names of all sweeps, sorted; what is kept of others goes."""
        return self._names.take("", self._read_names, mark=None)

    @property
    def running(self) -> list[str]:
        """Names of the sweeps that were running when somebody last asked for their facts."""
        return sorted(facts["sweep"] for facts in self._facts.values() if facts["state"] == "running")

    def _read_names(self) -> list[str]:
        names = sweep_names(self.store)
        self._facts.keep_only(frozenset(names))
        self._leaderboards.keep_only(frozenset(names))
        return names

    def _mark(self, sweep: str) -> tuple[int, int]:
        return newest_lease(self.store, sweep), len(self.store.list(SweepPaths(sweep).commands))


def _kept_s(facts: Facts) -> float:
    return LIVE_KEPT_S if facts["state"] == "running" else KEPT_S


def sweep_page(
    reader: SweepReader, *, limit: int, after: str | None = None, state: str | None = None, name: str | None = None
) -> SweepPage:
    """Read the status of the next sweeps by name.

    Args:
        after: the sweep that the page before ended with.
        state: only sweeps in it: running, finished or interrupted.
        name: only sweeps whose names hold this, in small or capital letters.
    """
    names = [each for each in reader.names() if name is None or name.lower() in each.lower()]
    waiting = [each for each in names if after is None or each > after]
    found: list[Facts] = []
    troubles: list[str] = []
    for place, each in enumerate(waiting):
        try:
            facts = reader.facts(each)
        except NotFound:  # it has been removed meanwhile
            continue
        except CorruptStore as error:
            troubles.append(str(error))
            continue
        if state in (None, facts["state"]):
            found.append(facts)
        if len(found) == limit:
            more = place + 1 < len(waiting)
            return SweepPage(
                sweeps=tuple(found), next=each if more else None, total=len(names), troubles=tuple(troubles)
            )
    return SweepPage(sweeps=tuple(found), next=None, total=len(names), troubles=tuple(troubles))


def sweep_facts(found: "SweepStatus") -> Facts:
    """Status of a sweep as `status --json` has it, with what its spec asks for and what is in flight."""
    spec, beat = found.spec, found.heartbeat
    return status_facts(found) | {
        "model": None if spec.promote is None else spec.promote.model,
        "source": spec.data.source,
        "confirm_runs_planned": spec.confirm.runs,
        "in_flight": found.in_flight,
        "driver_s": found.driver_s,
        "driver": None if beat is None else str(beat.holder),
        "damaged": list(found.damaged),
        "best_so_far": best_so_far(found.leaderboard, by="neg_elbo" if spec.objective.pareto else "objective"),
        "time_left_s": time_left_s(found),
    }


def best_so_far(leaderboard: Leaderboard, *, by: str) -> list[tuple[int, float]]:
    """The trials that were better than all before them, and their values, the first and the last ones if many."""
    trials, states, values = leaderboard.numbers, leaderboard.column("state"), leaderboard.column(by)
    found: list[tuple[int, float]] = []
    for trial, state, value in sorted(zip(trials, states, values, strict=True)):
        if state == State.COMPLETE and value is not None and (not found or value < found[-1][1]):
            found.append((trial, value))
    return found if len(found) <= BEST_POINTS else [found[0], *found[1 - BEST_POINTS :]]


def time_left_s(found: "SweepStatus") -> float | None:
    """Seconds until the budget is used at the pace of its drivers so far; None if nobody runs it or none has ended."""
    if found.state != "running" or not found.leaderboard.finished:
        return None
    budget = found.spec.budget
    left_s = found.driver_s / found.leaderboard.finished * max(0, budget.trials - found.used)
    return left_s if budget.minutes is None else max(0.0, min(left_s, 60.0 * budget.minutes - found.driver_s))


def progress_facts(following: "ProgressFollower", *, sweep: str, trials: int, runs: bool) -> Facts:
    """Progress of a sweep that is watched.

    Args:
        trials: of its budget.
        runs: whether a driver is at work on it.
    """
    best_trial, best_objective = following.best or (None, None)
    return {
        "sweep": sweep,
        "runs": runs,
        "trials": trials,
        "finished": sum(following.states.values()),
        "complete": following.states[State.COMPLETE],
        "pruned": following.states[State.PRUNED],
        "failed": following.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "front": None if following.front is None else front_facts(following.front),
        "running": dict(sorted(following.running.items())),
        "confirmed": following.confirmed,
    }


def landed_facts(row: "TrialRow") -> dict[str, Any]:
    """A trial or confirm run that has just ended; `key` tells them apart: 000042, 000042-s1."""
    return trial_facts(row) | {"key": row.key, "confirm_run": isinstance(row, ConfirmRow)}
