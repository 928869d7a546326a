"""Pages of sweeps, and facts of one that runs: for readers who look at a part of a store at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.services.browsing.kept_answers import KeptAnswers
from vae_search.services.browsing.one_look import one_look
from vae_search.services.payloads import Facts, front_facts, front_order, status_facts
from vae_search.services.sweep_status import status
from vae_search.store.backends.base import Store
from vae_search.store.leases.records import newest_lease
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.folders import sweep_names, sweep_names_again

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.live_progress import ProgressFollower, Update


KEPT_S = 60.0
IDLE_LOOKS, FAR_IDLE_LOOKS = 5, 15  # times as long between two looks at a sweep that nobody runs; in a bucket
MOST_ROWS = 200_000  # of leaderboards that are kept: about a kilobyte each
MOST_SWEEPS = 10_000  # whose facts are kept
SWEEP_WEIGHT = 20  # rows that a leaderboard without rows costs
FAR_READERS = 16  # sweeps of a page that are read at once from a store that is not on a disk
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    mark: tuple[int, int]
    """the newest lease and the number of commands when the facts were read"""
    read_at_s: float
    facts: Facts
    spec: Facts


class SweepReader:
    """Facts of sweeps, read anew only where they may have changed; safe for threads.

    Only a driver changes how a sweep stands, and it takes a lease with a new number first; and commands, which are
    numbered, change what it is to do. So the facts of a sweep that nobody runs hold until there is another lease or
    command; repairs by hand show after `KEPT_S`. Rows never change, so of a sweep that runs only those are read that
    are new. No look at a sweep is repeated within `look_s`, nor within a multiple of it at one that nobody runs.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float], look_s: float = 0.0) -> None:
        self.store = store
        self._monotonic = monotonic
        self._is_far = store.local_path("") is None
        # Pages wait for facts, and facts for rows: in one pool each could wait for what stands behind it in the line.
        self._pools = [ThreadPoolExecutor(FAR_READERS, thread_name_prefix=of) for of in ("pages", "facts", "rows")]
        _, facts_aside, rows_aside = (pool.submit if self._is_far else None for pool in self._pools)
        idle_s = look_s * (FAR_IDLE_LOOKS if self._is_far else IDLE_LOOKS)
        self._leaderboards = KeptAnswers[Leaderboard](
            self._look_at_rows,
            fresh_s=lambda _: look_s,
            monotonic=monotonic,
            weigh=lambda found: found.finished + SWEEP_WEIGHT,
            most=MOST_ROWS,
            aside=rows_aside,
        )
        self._read = KeptAnswers[_Read](
            self._look,
            fresh_s=lambda read: look_s if read.facts["state"] == "running" else idle_s,
            monotonic=monotonic,
            most=MOST_SWEEPS,
            aside=facts_aside,
        )
        self._names = KeptAnswers[list[str]](
            self._look_at_names, fresh_s=lambda _: look_s, monotonic=monotonic, most=1, aside=rows_aside
        )
        self._listed_at_s: dict[str, float] = {}  # rows of a sweep, and the sweeps under ""

    def leaderboard(self, sweep: str) -> Leaderboard:
        """Leaderboard of a sweep.

        Raises:
            NotFound: There is no such sweep.
            CorruptStore: Its record is damaged.
        """
        return self._leaderboards.answer(sweep)

    def status(self, sweep: str) -> "SweepStatus":
        """Status of a sweep, whose rows are not read again; what it raises is as for `leaderboard`."""
        return status(one_look(self.store), sweep, leaderboard=self.leaderboard(sweep))

    def facts(self, sweep: str) -> Facts:
        """Facts of one sweep; what it raises is as for `leaderboard`."""
        return self._read.answer(sweep).facts

    def spec(self, sweep: str) -> Facts:
        """The spec of a sweep as its last driver ran it; what it raises is as for `leaderboard`."""
        return self._read.answer(sweep).spec

    def facts_of(self, sweeps: Sequence[str]) -> list[Facts | NotFound | CorruptStore]:
        """Facts of some sweeps, or why there are none, in this order; several at once where each takes long."""
        if self._is_far and len(sweeps) > 1:
            return [*self._pools[0].map(self._facts_or_reason, sweeps)]
        return [*map(self._facts_or_reason, sweeps)]

    def begin(self) -> None:
        """Read a store that takes long before anybody asks; returns at once."""
        if self._is_far:
            pages = self._pools[0]
            pages.submit(lambda: [pages.submit(self._facts_or_reason, name) for name in self.names()])

    def end(self) -> None:
        """Begin nothing any more."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def names(self) -> list[str]:
        """Names of all sweeps, sorted; what is kept of others goes."""
        names = self._names.answer("")
        self._read.keep_only({*names})
        self._leaderboards.keep_only({*names})
        for gone in {*list(self._listed_at_s)} - {*names, ""}:  # a list of it is made in one step
            self._listed_at_s.pop(gone, None)
        return names

    @property
    def running(self) -> list[str]:
        """Names of the sweeps that were running when somebody last asked for their facts."""
        return sorted(read.facts["sweep"] for read in self._read.values() if read.facts["state"] == "running")

    def _facts_or_reason(self, sweep: str) -> Facts | NotFound | CorruptStore:
        try:
            return self.facts(sweep)
        except (NotFound, CorruptStore) as reason:
            return reason

    def _is_list_due(self, of: str) -> bool:
        """True for a disk, and now and then for a bucket, where a list takes long."""
        now_s = self._monotonic()
        if self._is_far and now_s - self._listed_at_s.get(of, -KEPT_S) < KEPT_S:
            return False
        self._listed_at_s[of] = now_s
        return True

    def _look_at_names(self, _: str, before: list[str] | None) -> list[str]:
        if before is None or self._is_list_due(""):
            return sweep_names(self.store)
        return sweep_names_again(self.store, {*before})

    def _look_at_rows(self, sweep: str, before: Leaderboard | None) -> Leaderboard:
        record, lists = sweep_record.read_stored(self.store, sweep), self._is_list_due(sweep)
        return read_leaderboard(self.store, sweep, record=record, before=before, lists=lists)

    def _look(self, sweep: str, before: _Read | None) -> _Read:
        mark, now_s = self._mark(sweep), self._monotonic()
        holds = before is not None and before.mark == mark and now_s - before.read_at_s < KEPT_S
        if before is not None and holds and before.facts["state"] != "running":
            return before
        found = self.status(sweep)
        return _Read(mark=mark, read_at_s=now_s, facts=sweep_facts(found), spec=found.spec.to_json())

    def _mark(self, sweep: str) -> tuple[int, int]:
        return newest_lease(self.store, sweep), len(self.store.list(SweepPaths(sweep).control))


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
    for begin in range(0, len(waiting), limit):
        chunk = waiting[begin : begin + limit]
        for place, facts in enumerate(reader.facts_of(chunk), start=begin + 1):
            if isinstance(facts, NotFound):  # it has been removed meanwhile
                continue
            if isinstance(facts, CorruptStore):
                troubles.append(str(facts))
                continue
            if state in (None, facts["state"]):
                found.append(facts)
            if len(found) == limit:
                return SweepPage(
                    sweeps=tuple(found),
                    next=waiting[place - 1] if place < len(waiting) else None,
                    total=len(names),
                    troubles=tuple(troubles),
                )
    return SweepPage(sweeps=tuple(found), next=None, total=len(names), troubles=tuple(troubles))


def sweep_facts(found: "SweepStatus") -> Facts:
    """Status of a sweep as `status --json` has it, with what its spec asks for and what is in flight."""
    spec, beat = found.spec, found.heartbeat
    front = found.leaderboard.shown_front(spec.objective)
    return status_facts(found) | {
        "front_of": None if front is None else front_order(front),
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


def progress_facts(following: "ProgressFollower", spec: "SweepSpec", update: "Update | None" = None) -> Facts:
    """Progress of a sweep that is watched.

    Args:
        spec: that the sweep runs with.
        update: of the last look; None before the first, when it is not yet known whether anybody runs the sweep.
    """
    best_trial, best_objective = following.best or (None, None)
    driver = None if update is None else update.driver
    is_silent = update is not None and update.silent
    return {
        "sweep": spec.name,
        "runs": driver is not None and not is_silent,
        "silent_driver": str(driver.holder) if driver is not None and is_silent else None,
        "trials": spec.budget.trials,
        "finished": sum(following.states.values()),
        "complete": following.states[State.COMPLETE],
        "pruned": following.states[State.PRUNED],
        "failed": following.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "front": None if following.front is None else front_facts(following.front),
        "front_of": None if following.front is None else front_order(following.front),
        "running": dict(sorted(following.running.items())),
        "paused": following.paused,
        "epochs_seen": following.epochs_seen,
        "confirmed": following.confirmed,
        "confirm_runs": spec.confirm.runs,
    }
