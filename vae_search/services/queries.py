"""The use cases behind `best`: which configs of a sweep are the best, by what, under which condition.

Neither Ray nor TensorFlow, and DuckDB only where there is SQL.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.errors import NotFound
from vae_search.store.backends.base import Store
from vae_search.store.ledger import sweep_record
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.confirmation import Confirmed, FailedConfirmation, confirmed_first, verdicts
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.queries.pareto import CRITERIA
from vae_search.store.queries.ranking import RankedBy, check_comparable

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.ledger.confirm_runs import ConfirmRow


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


def best(
    store: Store,
    sweep: str,
    *,
    count: int | None,
    by: RankedBy = "objective",
    every_state: bool = False,
    where: str | None = None,
) -> Ranking:
    """The first `count` COMPLETE trials by `by`; with `every_state` the others follow, by their last held-out value.

    By the objective, confirmed configs come first, by their mean over fresh seeds: the search's own values are those of
    the luckiest of many. A config that did not complete with every fresh seed is none of them and keeps the place that
    its objective gives it. A Pareto sweep has no objective: its trials are those on its front, by `objective.prefer`.

    Args:
        where: Only trials that meet this condition; see `store.where`.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: `where` is no condition.
        Conflict: The rows do not all belong to one comparability key (invariant I7).
    """
    record, leaderboard, rows, damaged = _read(store, sweep, where)
    known = verdicts(rows)
    first = confirmed_first(known) if by == "objective" else []
    front: tuple[str, ...] = ()
    if by == "objective" and not every_state and leaderboard.states[State.COMPLETE] and leaderboard.best is None:
        objective = record.latest_spec(store).objective  # of a Pareto sweep, else there would be a best
        front = objective.pareto or ()
        shown = leaderboard.best_first(objective, count=count, first=first)
    else:
        shown = leaderboard.ranked(by=by, every_state=every_state, count=count, first=first)
    return Ranking(
        sweep=sweep,
        searched=record.searched,
        rows=tuple(shown),
        verdicts=known,
        finished=leaderboard.finished,
        damaged=damaged,
        front=front,
    )


def pareto(store: Store, sweep: str, *, count: int | None, where: str | None = None) -> Ranking:
    """The COMPLETE trials that no other beats in neg_elbo, instability and train_flops, by neg_elbo.

    Args:
        where: Only trials that meet this condition; they alone are compared.

    Raises:
        NotFound, InvalidSpec, Conflict: As for `best`.
    """
    record, leaderboard, rows, damaged = _read(store, sweep, where)
    return Ranking(
        sweep=sweep,
        searched=record.searched,
        rows=tuple(leaderboard.front(count=count)),
        verdicts=verdicts(rows),
        finished=leaderboard.finished,
        damaged=damaged,
        front=CRITERIA,
    )


def best_spec(ranking: Ranking, store: Store) -> "SweepSpec":
    """A spec that trains the first config of a ranking again, under another name.

    Raises:
        NotFound: The ranking is empty.
    """
    from vae_search.spec.from_trial import spec_of_config

    if not ranking.rows:
        raise NotFound(f"sweep {ranking.sweep}: no such trial has completed yet, so there is no config to write.")
    return spec_of_config(sweep_record.latest_spec(store, ranking.sweep), ranking.rows[0].params)


def _read(
    store: Store, sweep: str, where: str | None
) -> "tuple[sweep_record.StoredRecord, Leaderboard, list[ConfirmRow], tuple[str, ...]]":
    """Record, leaderboard, confirm runs, and what is damaged among the files."""
    record = sweep_record.read_stored(store, sweep)
    leaderboard = read_leaderboard(store, sweep)
    confirm_runs = ConfirmRuns(store, sweep).read()
    rows = [*confirm_runs.rows]
    damaged = {*leaderboard.damaged, *confirm_runs.damaged}
    if where is not None:
        from vae_search.store.queries.sql_filter import matching

        trials, left_out = matching(store, sweep, where)
        leaderboard, damaged = leaderboard.narrowed(trials), damaged | {*left_out}
        rows = [row for row in rows if row.trial in trials]
    keys = leaderboard.comparability_keys | {row.comparability_key for row in rows}
    check_comparable(keys, trials=leaderboard.finished + len(rows))
    return record, leaderboard, rows, tuple(sorted(damaged))
