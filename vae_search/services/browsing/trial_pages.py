"""Pages of a sweep's trials: filtered and ordered here, so that a reader of ten thousand gets fifty."""

from dataclasses import asdict, dataclass
from typing import Any

from vae_search.core.criteria import METRIC
from vae_search.errors import InvalidSpec, NotFound
from vae_search.services.browsing.plain_values import plain
from vae_search.services.payloads import Facts, trial_facts
from vae_search.store.backends.base import Store
from vae_search.store.ledger.rows import trial_record
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.leaderboard import Leaderboard, read_leaderboard
from vae_search.store.queries.ranking import check_comparable
from vae_search.store.sweeps import sweep_record

ORDERS = ("trial", "objective", "neg_elbo", "rate", "instability", "train_flops", "cpu_s")
ORDER_PATTERN = rf"^(?:{'|'.join(ORDERS)}|{METRIC}[a-z][a-z0-9_]{{0,39}})$"
"""of a column that trials of a sweep can be ordered by: one of these, or a metric"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPage:
    """Some trials of a sweep, in the order that was asked for."""

    trials: tuple[Facts, ...]
    next: int | None
    """number of the last one, if there are more"""
    total: int
    """trials that meet the condition"""
    damaged: tuple[str, ...]
    """files that could not be read"""


def trial_page(
    store: Store,
    sweep: str,
    *,
    limit: int,
    after: int | None = None,
    order: str = "trial",
    descending: bool = False,
    state: str | None = None,
    where: str | None = None,
    leaderboard: Leaderboard | None = None,
) -> TrialPage:
    """Read the next trials of a sweep.

    Those without a value come last in either direction, equal ones by number.

    Args:
        order: one of `ORDERS`, or the column of a metric of the sweep.
        after: the trial that the page before ended with. What has landed since shifts nothing.
        state: only COMPLETE, PRUNED or FAIL.
        where: only trials that meet this condition; see `store/queries/sql.py`.
        leaderboard: of the sweep, if it has been read already.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: `where` is no condition, or no such trial meets it that the page before could have ended with, or
            the sweep has no such metric.
        Conflict: The rows do not all belong to one comparability key (invariant I7).
    """
    leaderboard = leaderboard or read_leaderboard(store, sweep, record=sweep_record.read_stored(store, sweep))
    check_comparable(leaderboard.comparability_keys, trials=leaderboard.finished)
    if order.startswith(METRIC) and leaderboard.finished and order not in leaderboard.metrics:
        known = ", ".join([*ORDERS, *leaderboard.metrics])
        raise InvalidSpec(f"order: must be one of {known}, but got {order}.")
    damaged = {*leaderboard.damaged}
    if where is not None:
        from vae_search.store.queries.sql import matching

        chosen, left_out = matching(store, sweep, where)
        leaderboard, damaged = leaderboard.narrowed(chosen), damaged | {*left_out}
    ordered = leaderboard.in_order(order, descending=descending, state=state)
    begin = 0
    if after is not None:
        if after not in ordered:
            raise InvalidSpec(f"cursor: no trial {after} is among those that are asked for. Begin without a cursor.")
        begin = ordered.index(after) + 1
    shown = ordered[begin : begin + limit]
    return TrialPage(
        trials=tuple(trial_facts(row) | {"rate": row.rate} for row in leaderboard.rows(shown)),
        next=shown[-1] if shown and begin + limit < len(ordered) else None,
        total=len(ordered),
        damaged=tuple(sorted(damaged)),
    )


def one_trial(store: Store, sweep: str, number: int) -> Facts:
    """Every column of a trial's row.

    Raises:
        NotFound: There is no such sweep, or the trial is not finished.
        CorruptStore: Its file is damaged.
    """
    sweep_record.read_stored(store, sweep)
    try:
        row = Ledger(store, sweep).trial(number)
    except NotFound:
        raise NotFound(f"sweep {sweep}: there is no finished trial {number}.") from None
    record: Any = plain(trial_record(row) | {"params": dict(row.params)})
    return {name: value for name, value in record.items() if not name.startswith("param_") and name != "params_json"}


def curve(store: Store, sweep: str, number: int) -> list[Facts]:
    """The epochs of a finished trial.

    Raises:
        NotFound: There is no such sweep, or the trial is not finished.
        CorruptStore: A file is damaged.
    """
    sweep_record.read_stored(store, sweep)
    ledger = Ledger(store, sweep)
    try:
        epochs = ledger.epochs(number)
    except NotFound:
        raise NotFound(f"sweep {sweep}: there is no finished trial {number}.") from None
    found: Any = plain([asdict(epoch) for epoch in epochs])
    return [{name: value for name, value in epoch.items() if name not in ("sweep", "trial")} for epoch in found]
