"""Queries on a store: the best configs of a sweep, its front, and SQL over everything.

Neither Ray nor TensorFlow, and DuckDB only where there is SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vae_search.core.criteria import CRITERIA, METRIC, RANKED_BY
from vae_search.core.settings import QUERY_TIMEOUT_S
from vae_search.core.text import shown as shown_value
from vae_search.core.trial_state import State
from vae_search.errors import InvalidSpec
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.backends.base import Store
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRunRows, ConfirmRuns
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.confirmed_configs import Confirmed, FailedConfirmation, confirmed_first, verdicts
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.queries.ranking import check_comparable
from vae_search.store.sweeps import sweep_record

if TYPE_CHECKING:
    import pyarrow as pa

    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.measures.metrics import Metric
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.queries.query_result import QueryResult
    from vae_search.store.queries.sql_views import ModelVersions


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Trials of a sweep, best first."""

    sweep: str
    searched: tuple[str, ...]
    """names of the parameters that the sweep searches"""
    rows: tuple[TrialRow, ...]
    verdicts: Mapping[int, Confirmed | FailedConfirmation]
    """what fresh seeds say, by trial"""
    finished: int
    """trials that have ended and meet the condition, shown or not"""
    damaged: tuple[str, ...]
    """files that could not be read"""
    front: tuple[str, ...] = ()
    """the criteria in which no other trial beats these; empty if they are ranked by one column"""
    bound: Literal["elbo", "iwae"]
    """in the objective"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSweep:
    """Rows of a sweep that a reader has at hand, so that ranking its trials reads nothing but theirs."""

    spec: "SweepSpec"
    leaderboard: Leaderboard
    confirm_runs: ConfirmRunRows


def best(
    store: Store,
    sweep: str,
    *,
    count: int | None,
    by: str = "objective",
    every_state: bool = False,
    where: str | None = None,
    known: KnownSweep | None = None,
) -> Ranking:
    """Rank the COMPLETE trials by `by`; with `every_state` the others follow, by their last held-out value.

    By the objective, confirmed configs come first, in the order of `confirmed_first`: the search's own values are those
    of the luckiest of many. A config that did not complete with every fresh seed is not confirmed and keeps the place
    that its objective gives it. A Pareto sweep has no objective: its trials are those on its front, by
    `objective.prefer`.

    Args:
        count: how many; None means all.
        where: Only trials that meet this condition; see `store/queries/sql.py`.
        known: of the sweep, if it has been read already.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: `where` is no condition, or trials are not ranked by `by`.
        Conflict: The rows do not all belong to one comparability key (invariant I7).
    """
    found = _read(store, sweep, where, known)
    highest_first = by not in RANKED_BY and _more_is_better(by, found.spec().metrics, sweep)
    leaderboard, judged = found.leaderboard, verdicts(found.confirm_rows)
    first = confirmed_first(judged) if by == "objective" else []
    front: tuple[str, ...] = ()
    if by == "objective" and not every_state and leaderboard.states[State.COMPLETE] and leaderboard.best is None:
        criteria = pareto_criteria(found.spec())  # of a Pareto sweep, else there would be a best
        front = () if criteria is None else criteria.names
        shown = leaderboard.best_first(criteria, count=count, first=first)
    else:
        shown = leaderboard.ranked(
            by=by, every_state=every_state, count=count, first=first, highest_first=highest_first
        )
    return Ranking(
        sweep=sweep,
        searched=found.searched,
        rows=tuple(shown),
        verdicts=judged,
        finished=leaderboard.finished,
        damaged=found.damaged,
        front=front,
        bound=found.bound,
    )


def pareto(
    store: Store,
    sweep: str,
    *,
    count: int | None,
    where: str | None = None,
    known: KnownSweep | None = None,
) -> Ranking:
    """Find the COMPLETE trials that no other beats in neg_elbo, instability and train_flops; by neg_elbo.

    Args:
        count: how many; None means all.
        where: Only trials that meet this condition; they alone are compared.
        known: of the sweep, if it has been read already.

    Raises:
        NotFound, InvalidSpec, Conflict: As for `best`.
    """
    found = _read(store, sweep, where, known)
    return Ranking(
        sweep=sweep,
        searched=found.searched,
        rows=tuple(found.leaderboard.front(count=count)),
        verdicts=verdicts(found.confirm_rows),
        finished=found.leaderboard.finished,
        damaged=found.damaged,
        front=CRITERIA,
        bound=found.bound,
    )


def best_of_status(status: "SweepStatus", *, count: int) -> Ranking:
    """Rank a sweep's trials as `best` does, from a status that has been read already.

    Raises:
        Conflict: As for `best`.
    """
    known = verdicts(status.confirm_rows)
    criteria = pareto_criteria(status.spec)
    rows = status.leaderboard.best_first(criteria, count=count, first=confirmed_first(known))
    return Ranking(
        sweep=status.spec.name,
        searched=_searched(status.spec),
        rows=tuple(rows),
        verdicts=known,
        finished=status.leaderboard.finished,
        damaged=status.damaged,
        front=() if criteria is None else criteria.names,
        bound=status.spec.bound,
    )


def query(store: Store, sql: str, *, sweep: str | None = None, timeout_s: float = QUERY_TIMEOUT_S) -> "QueryResult":
    """Answer SQL over the tables trials, epochs, finalists, front and models; see `store/queries/sql.py`.

    Args:
        timeout_s: limit of the SQL itself; reading the store is not counted.

    Raises:
        InvalidSpec: The SQL is wrong, more than one SELECT, or goes beyond a limit.
        NotFound: There is no such sweep.
    """
    from vae_search.store.queries.sql import query as answer
    from vae_search.store.queries.sql_process import QueryLimits

    limits = QueryLimits(timeout_s=timeout_s)
    return answer(store, sql, sweep=sweep, models=lambda: _versions(store), limits=limits)


def query_table(
    store: Store, sql: str, *, sweep: str | None = None, timeout_s: float = QUERY_TIMEOUT_S
) -> "tuple[pa.Table, tuple[str, ...]]":
    """Answer SQL as `query` does: an Arrow table, and the paths of the files that were left out."""
    from vae_search.store.queries.sql import query_table as answer
    from vae_search.store.queries.sql_process import QueryLimits

    limits = QueryLimits(timeout_s=timeout_s)
    return answer(store, sql, sweep=sweep, models=lambda: _versions(store), limits=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Material of a ranking: only rows that meet its condition."""

    searched: tuple[str, ...]
    bound: Literal["elbo", "iwae"]
    spec: "Callable[[], SweepSpec]"
    leaderboard: Leaderboard
    confirm_rows: Sequence[ConfirmRow]
    damaged: tuple[str, ...]


def _read(store: Store, sweep: str, where: str | None, known: KnownSweep | None) -> _Found:
    """Rows that meet a condition, and the sweep's spec as far as a ranking needs it."""
    if known is None:
        record = sweep_record.read_stored(store, sweep)
        searched, bound = record.searched, record.bound
        leaderboard = read_leaderboard(store, sweep, record=record)
        confirm_runs = ConfirmRuns(store, sweep, record).read()
    else:
        searched, bound = _searched(known.spec), known.spec.bound
        leaderboard, confirm_runs = known.leaderboard, known.confirm_runs
    rows: Sequence[ConfirmRow] = confirm_runs.rows
    damaged = {*leaderboard.damaged, *confirm_runs.damaged}
    if where is not None:
        from vae_search.store.queries.sql import matching

        trials, left_out = matching(store, sweep, where)
        leaderboard, damaged = leaderboard.narrowed(trials), damaged | {*left_out}
        rows = [row for row in rows if row.trial in trials]
    keys = leaderboard.comparability_keys | {row.comparability_key for row in rows}
    check_comparable(keys, trials=leaderboard.finished + len(rows))
    return _Found(
        searched=searched,
        bound=bound,
        spec=lambda: record.latest_spec(store) if known is None else known.spec,
        leaderboard=leaderboard,
        confirm_rows=rows,
        damaged=tuple(sorted(damaged)),
    )


def _more_is_better(by: str, metrics: "Sequence[Metric]", sweep: str) -> bool:
    """True if of a sweep's metric more is better.

    Raises:
        InvalidSpec: It is no column that trials are ranked by.
    """
    better = {metric.column: metric.better for metric in metrics}
    if by not in better:
        if by.startswith(METRIC) and not better:
            raise InvalidSpec(f"by: the spec of sweep {sweep} has no metrics.")
        raise InvalidSpec(f"by: must be one of {', '.join([*RANKED_BY, *better])}, but got {shown_value(by)}.")
    return better[by] == "higher"


def _searched(spec: "SweepSpec") -> tuple[str, ...]:
    """Names of the parameters that a sweep searches, as `StoredRecord.searched` has them."""
    return tuple(dict.fromkeys(parameter.name for parameter in spec.search_space.searched))


def _versions(store: Store) -> "ModelVersions":
    from vae_search.registry.version_table import version_records
    from vae_search.store.queries.sql_views import ModelVersions

    records, damaged = version_records(store)
    return ModelVersions(records=records, damaged=tuple(damaged))
