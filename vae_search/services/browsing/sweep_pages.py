"""Pages of sweeps, for readers who look at a part of a store at a time: what was read is kept and shared."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.errors import CorruptStore, NotFound
from vae_search.services.browsing.kept_answers import KeptAnswers, one_look
from vae_search.services.browsing.sweep_facts import sweep_facts
from vae_search.services.payloads import Facts
from vae_search.services.queries import KnownSweep
from vae_search.services.sweep_status import status
from vae_search.store.backends.base import Store
from vae_search.store.leases.records import newest_lease
from vae_search.store.ledger.confirm_runs import ConfirmRunRows, ConfirmRuns
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.folders import sweep_names, sweep_names_again

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec

KEPT_S = 60.0
IDLE_LOOKS, FAR_IDLE_LOOKS = 5, 15  # times as long between two looks at a sweep that nobody runs; in a bucket
MOST_ROWS = 200_000  # of leaderboards that are kept: about a kilobyte each
MOST_SWEEPS = 10_000  # whose facts are kept
SWEEP_WEIGHT = 20  # rows that a leaderboard without rows costs
FAR_READERS = 16  # sweeps of a page that are read at once from a store that is not on a disk
CONFIRM_WEIGHT = 4  # rows that one of a confirm run costs, which is kept whole


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
class _Rows:
    """Rows of a sweep's trials and of its confirm runs."""

    leaderboard: Leaderboard
    confirm_runs: ConfirmRunRows


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStanding:
    """Standing of a sweep at one look."""

    facts: Facts
    spec: "SweepSpec"
    """that it is run with now, or will be"""
    mark: tuple[int, int]
    """the newest lease and the number of commands"""
    read_at_s: float


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
        readers = FAR_READERS if self._is_far else 1  # what is on a disk takes a core to read
        self._pools = [ThreadPoolExecutor(readers, thread_name_prefix=of) for of in ("pages", "facts", "rows")]
        _, facts_aside, rows_aside = (pool.submit if self._is_far else None for pool in self._pools)
        idle_s = look_s * (FAR_IDLE_LOOKS if self._is_far else IDLE_LOOKS)
        self._rows = KeptAnswers[_Rows](
            self._look_at_rows,
            fresh_s=lambda _: look_s,
            monotonic=monotonic,
            weigh=lambda rows: rows.leaderboard.finished + CONFIRM_WEIGHT * len(rows.confirm_runs.rows) + SWEEP_WEIGHT,
            most=MOST_ROWS,
            aside=rows_aside,
        )
        self._standings = KeptAnswers[SweepStanding](
            self._look,
            fresh_s=lambda found: look_s if found.facts["state"] == "running" else idle_s,
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
        return self._rows.answer(sweep).leaderboard

    def standing(self, sweep: str) -> SweepStanding:
        """The standing of a sweep; what it raises is as for `leaderboard`."""
        return self._standings.answer(sweep)

    def facts(self, sweep: str) -> Facts:
        """Facts of one sweep; what it raises is as for `leaderboard`."""
        return self.standing(sweep).facts

    def known(self, sweep: str) -> KnownSweep:
        """The rows and the spec that a ranking of the sweep's trials needs; what it raises is as for `leaderboard`."""
        rows = self._rows.answer(sweep)
        return KnownSweep(spec=self.standing(sweep).spec, leaderboard=rows.leaderboard, confirm_runs=rows.confirm_runs)

    def status(self, sweep: str) -> "SweepStatus":
        """Read the status of a sweep, whose rows are not read again; what it raises is as for `leaderboard`."""
        rows = self._rows.answer(sweep)
        return status(one_look(self.store), sweep, leaderboard=rows.leaderboard, confirm_runs=rows.confirm_runs)

    def outdate(self, sweep: str) -> None:
        """Look anew before anybody is told how the sweep stands: somebody has just given it an order here."""
        self._standings.outdate(sweep)

    def facts_of(self, sweeps: Sequence[str]) -> list[Facts | NotFound | CorruptStore]:
        """Facts of some sweeps, or why there are none, in this order; several at once where each takes long."""
        if self._is_far:
            missing = [sweep for sweep in sweeps if not self._standings.is_at_hand(sweep)]
            if len(missing) > 1:
                found = dict(zip(missing, self._pools[0].map(self._facts_or_reason, missing), strict=True))
                return [found[sweep] if sweep in found else self._facts_or_reason(sweep) for sweep in sweeps]
        return [*map(self._facts_or_reason, sweeps)]

    def begin(self) -> None:
        """Read the store before anybody asks; returns at once."""
        pages = self._pools[0]
        with suppress(RuntimeError):  # after its end it still answers, but reads nothing ahead
            pages.submit(lambda: [pages.submit(self._facts_or_reason, name) for name in self.names()])

    def end(self) -> None:
        """Begin nothing any more."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def names(self) -> list[str]:
        """Names of all sweeps, sorted; what is kept of others goes."""
        return self._names.answer("")

    @property
    def running(self) -> list[str]:
        """Names of the sweeps that were running when somebody last asked for their facts."""
        return sorted(found.facts["sweep"] for found in self._standings.values() if found.facts["state"] == "running")

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
        is_list_due = self._is_list_due("")
        names = sweep_names(self.store) if before is None or is_list_due else sweep_names_again(self.store, {*before})
        self._standings.keep_only({*names})
        self._rows.keep_only({*names})
        for gone in {*list(self._listed_at_s)} - {*names, ""}:  # a list of it is made in one step
            self._listed_at_s.pop(gone, None)
        return names

    def _look_at_rows(self, sweep: str, before: _Rows | None) -> _Rows:
        record, lists = sweep_record.read_stored(self.store, sweep), self._is_list_due(sweep)
        read = None if before is None else before.leaderboard
        leaderboard = read_leaderboard(self.store, sweep, record=record, before=read, lists=lists)
        runs = ConfirmRuns(self.store, sweep, record).read(before=() if before is None else before.confirm_runs.rows)
        return _Rows(leaderboard=leaderboard, confirm_runs=runs)

    def _look(self, sweep: str, before: SweepStanding | None) -> SweepStanding:
        look, now_s = one_look(self.store), self._monotonic()
        mark = newest_lease(look, sweep), len(look.list(SweepPaths(sweep).control))
        holds = before is not None and before.mark == mark and now_s - before.read_at_s < KEPT_S
        if before is not None and holds and before.facts["state"] != "running":
            return before
        rows = self._rows.answer(sweep)
        found = status(look, sweep, leaderboard=rows.leaderboard, confirm_runs=rows.confirm_runs)
        if found.state != "running":  # what is told holds for long, so the rows must not be from before its driver left
            rows = self._rows.answer(sweep, since_s=now_s)
            found = status(look, sweep, leaderboard=rows.leaderboard, confirm_runs=rows.confirm_runs)
        return SweepStanding(facts=sweep_facts(found), spec=found.spec, mark=mark, read_at_s=now_s)


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
