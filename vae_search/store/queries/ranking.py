"""Ranking of trials: pure functions of rows."""

from collections.abc import Collection, Sequence

from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import State
from vae_search.errors import Conflict
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.pareto import front_of_learners, point_of


def ranked(rows: Sequence[TrialRow], *, by: str, every_state: bool, first: Sequence[int] = ()) -> list[TrialRow]:
    """COMPLETE trials by the column `by`, least first, NULL last; with `every_state` then the others by `neg_elbo`.

    Those that are NULL in `by`, as all are of a Pareto sweep by the objective, come by `neg_elbo`.

    Trials that were cut are never mixed in with those that completed: their values come from fewer epochs.

    Args:
        first: trials that come before all others if they are COMPLETE, in this order.

    Raises:
        Conflict: The rows belong to different comparability keys (invariant I7).
    """
    check_comparable({row.comparability_key for row in rows}, trials=len(rows))

    def place(row: TrialRow) -> tuple[bool, float, bool, float, int]:
        value = row.value(by if row.state is State.COMPLETE else "neg_elbo")
        if value is not None:
            return (False, value, False, 0.0, row.trial)
        return (True, 0.0, row.neg_elbo is None, row.neg_elbo or 0.0, row.trial)

    up = {trial: position for position, trial in enumerate(first)}
    complete = sorted((row for row in rows if row.state is State.COMPLETE), key=place)
    complete.sort(key=lambda row: up.get(row.trial, len(up)))  # stable: the others stay as they are
    others = sorted((row for row in rows if row.state is not State.COMPLETE), key=place)
    return complete + others if every_state else complete


def pruned_first(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """Order the PRUNED trials that were measured: the longest trained first, then by neg_elbo after their last epoch.

    Halving asks for this order: who passed more rungs was better at the rungs that both have seen.
    """
    measured = [(-row.epochs, row.neg_elbo, row.trial, row) for row in rows if row.state is State.PRUNED]
    return [row for *_, row in sorted(each for each in measured if each[1] is not None)]


def best_first(rows: Sequence[TrialRow], criteria: Criteria | None) -> list[TrialRow]:
    """The COMPLETE trials by the objective; of a Pareto sweep those on its front, by the preferred criterion.

    Args:
        criteria: of a Pareto sweep; None of another.

    Raises:
        Conflict: The rows belong to different comparability keys (invariant I7).
    """
    if criteria is None:
        return ranked(rows, by="objective", every_state=False)
    return front_of(rows, criteria)


def front_of(rows: Sequence[TrialRow], criteria: Criteria) -> list[TrialRow]:
    """The COMPLETE trials that no other dominates in `criteria`, by the preferred one, best first, NULL last.

    Raises:
        Conflict: The rows belong to different comparability keys (invariant I7).
    """
    check_comparable({row.comparability_key for row in rows}, trials=len(rows))
    complete = [row for row in rows if row.state is State.COMPLETE]
    points = [point_of(criteria, [row.value(name) for name in criteria.names]) for row in complete]
    places = front_of_learners(points, [row.rate for row in complete])

    def order(row: TrialRow) -> tuple[bool, float, float, int]:
        value = row.value(criteria.prefer)
        key = 0.0 if value is None else criteria.least_first(criteria.prefer, value)
        return (value is None, key, row.neg_elbo or 0.0, row.trial)

    return sorted((complete[place] for place in places), key=order)


def check_comparable(keys: Collection[str], *, trials: int) -> None:
    """Refuse to rank trials of more than one comparability key (invariant I7).

    Raises:
        Conflict: There are several.
    """
    if len(keys) > 1:
        raise Conflict(
            f"these {trials} trials were scored on {len(keys)} different tasks (comparability keys "
            f"{', '.join(sorted(key[:8] for key in keys))}); their values cannot be ranked together."
        )
