"""Running trial: what is known of a trial between its suggestion and its row, and the rules that end it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vae_search.core.measurements import Costs, EpochMeasurement, Scores, StoppingRule
from vae_search.core.trial_state import Reason, State
from vae_search.search.messages import Failure, TrialAssignment, TrialReport
from vae_search.search.pruning import SuccessiveHalving
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """The end of a trial and its reason: the words of the ledger plus one sentence for the log."""

    state: State
    reason: Reason | None
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepContext:
    """Facts that all rows of one driver's sweep have in common."""

    spec: SweepSpec
    lease: int
    comparability_key: str
    versions: Mapping[str, str]
    incarnation: str | None = None
    """of the sweep's record"""


@dataclass(slots=True, kw_only=True)
class RunningTrial:
    """One trial between its suggestion and its row."""

    assignment: TrialAssignment
    attempts: int
    """how often a worker has begun with it"""
    started_at: datetime | None = None
    has_worker: bool = False
    node_id: str | None = None
    measurements: dict[int, EpochMeasurement] = field(default_factory=dict)
    costs: Costs | None = None
    scores: Scores | None = None
    failure: Failure | None = None
    end: TrialEnd | None = None
    saved: bool = False
    """whether its newest report is in a checkpoint"""

    @property
    def neg_bounds(self) -> dict[int, float]:
        """Held-out bound that the sweep ranks by, for each epoch, the first epoch first."""
        return {epoch: self.measurements[epoch].neg_bound for epoch in sorted(self.measurements)}

    @property
    def params(self) -> Mapping[str, ParamValue]:
        return self.assignment.params

    def best_epoch(self, rule: StoppingRule) -> int:
        """The epoch whose weights are kept; the measurements are of all epochs so far."""
        return rule.best_epoch([self.measurements[epoch].neg_elbo for epoch in sorted(self.measurements)])


def end_of(
    report: TrialReport,
    running: RunningTrial,
    *,
    spec: SweepSpec,
    rungs: SuccessiveHalving,
    time_is_up: Callable[[], bool],
) -> TrialEnd | None:
    """The end that a report means for its run; None: it goes on.

    Args:
        rungs: with all that is recorded, this report included.
        time_is_up: whether the search has used its time.
    """
    if report.failure is not None:
        summary = report.failure.error.splitlines()[0]
        return TrialEnd(state=State.FAIL, reason=report.failure.reason, explanation=summary)
    confirms = running.assignment.confirms
    rule = spec.stopping_rule(running.params, confirms=confirms)
    if report.epoch >= rule.epochs:
        return TrialEnd(state=State.COMPLETE, reason=None, explanation=f"all {report.epoch} epochs done")
    if running.measurements and rule.is_patience_over(report.epoch, best_epoch=(best := running.best_epoch(rule))):
        explanation = f"complete at epoch {report.epoch}: none was better than epoch {best} for {rule.patience} epochs"
        return TrialEnd(state=State.COMPLETE, reason=None, explanation=explanation)
    if confirms:
        return None
    if report.epoch in rungs.epochs:
        decision = rungs.decide(report.epoch, running.assignment.trial)
        if not decision.advance:
            explanation = f"cut at epoch {report.epoch}: {decision.reason}"
            return TrialEnd(state=State.PRUNED, reason=Reason.RUNG, explanation=explanation)
    if running.measurements and time_is_up():
        explanation = f"cut at epoch {report.epoch}: the budget of {spec.budget.minutes:g} minutes is used"
        return TrialEnd(state=State.PRUNED, reason=Reason.TIME, explanation=explanation)
    return None
