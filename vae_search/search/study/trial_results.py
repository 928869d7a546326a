"""Results of trials as the study is told of them."""

from collections.abc import Mapping

from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import State
from vae_search.search.messages import TrialAssignment
from vae_search.search.pruning import rung_epochs
from vae_search.search.rungs.rung_bounds import bounds_at_rungs
from vae_search.search.study.study import TrialResult
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.rows import TrialRow


def running_result(assignment: TrialAssignment) -> TrialResult:
    """A trial that has been issued and has no row, as the study is told of it."""
    return TrialResult(trial=assignment.trial, state=State.RUNNING, params=assignment.params, objective=None)


def trial_result(row: TrialRow, neg_bounds: Mapping[int, float], spec: SweepSpec) -> TrialResult:
    """Result of a trial as the study is told of it.

    Args:
        neg_bounds: held-out bound by epoch, nats.
    """
    rungs = rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs)
    return TrialResult(
        trial=row.trial,
        state=row.state,
        reason=row.reason,
        params=row.params,
        objective=row.objective,
        criteria=criteria_of(row, pareto_criteria(spec), epochs=spec.budget.epochs),
        neg_bounds=bounds_at_rungs(row, neg_bounds, rungs, bound=spec.bound),
    )


def criteria_of(row: TrialRow, criteria: Criteria | None, *, epochs: int) -> tuple[float, ...]:
    """Criteria that the sampler of a Pareto sweep learns of a trial, each minimised; nothing if one is not known.

    Of a PRUNED trial the bound that it had reached, which more epochs would have lowered, and the cost of all epochs.
    """
    if criteria is None:
        return ()
    values = {name: row.value(name) for name in criteria.names}
    if row.state is State.PRUNED and row.epochs and (flops := values.get("train_flops")) is not None:
        values["train_flops"] = flops * epochs / row.epochs
    known = [value for value in criteria.minimised(values.values()) if value is not None]
    return tuple(known) if row.state in (State.COMPLETE, State.PRUNED) and len(known) == len(values) else ()
