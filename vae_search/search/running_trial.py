"""Running trial: what is known of a trial between its suggestion and its row, and the rules that end it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vae_search.core.measurements import Costs, EpochMeasurement, Scores, StoppingRule
from vae_search.core.seeds import derived_seed
from vae_search.core.trial_state import Reason, State
from vae_search.search.limits.spending import budget_words
from vae_search.search.messages import Failure, TrialAssignment, TrialReport
from vae_search.search.planning.plan_record import SweepPlan
from vae_search.search.pruning import RungDecision, SuccessiveHalving
from vae_search.spec.hyperparameters import Config, ParamValue
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.sweeps.borrowing import Borrowing
from vae_search.store.sweeps.warm_started import WarmStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """The end of a trial and its reason: the words of the ledger plus one sentence for the log."""

    state: State
    reason: Reason | None
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPause:
    """The pause of a trial at a rung: its worker is free, and it may go on from its checkpoint or be PRUNED."""

    rung: int
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
    borrowing: Borrowing | None = None
    """the same; of a fork"""
    warm_started: WarmStarted | None = None
    """the same; of a sweep that learned from earlier ones"""
    plan: SweepPlan | None = None
    """the same; of a sweep that divides its time by itself"""
    shares_machine: bool = False
    """whether its trials have one machine for themselves, so that the last run may have the cores of all"""

    @property
    def lenders(self) -> tuple[Borrowing, ...]:
        """Trials of other sweeps that the sampler knows."""
        own = () if self.borrowing is None else (self.borrowing,)
        return own if self.warm_started is None else (*own, *self.warm_started.borrowed)

    @property
    def sampler_seed(self) -> int:
        """Seed of the sampler; another one after a warm start, else it would draw a lender's first trials again."""
        taken = () if self.warm_started is None else self.warm_started.borrowed
        digests = " ".join(each.sha256["trials"] for each in taken)
        return derived_seed(self.spec.seed, 0, f"warm start {digests}") if taken else self.spec.seed


@dataclass(slots=True, kw_only=True)
class RunningTrial:
    """One trial between its suggestion and its row."""

    assignment: TrialAssignment
    attempts: int
    """how often a worker has begun with it, without those that went on after a pause"""
    started_at: datetime | None = None
    has_worker: bool = False
    node_id: str | None = None
    measurements: dict[int, EpochMeasurement] = field(default_factory=dict)
    costs: Costs | None = None
    scores: Scores | None = None
    failure: Failure | None = None
    end: TrialEnd | None = None
    pause: TrialPause | None = None
    resumes: bool = False
    """whether its next worker goes on after a pause, and so is no further attempt"""
    saved: bool = False
    """whether its newest report is in a checkpoint"""

    def begin(self, now: Callable[[], datetime]) -> None:
        """Note that a worker begins with the run, for the first time or again."""
        self.attempts += not self.resumes
        self.resumes = False
        self.started_at = self.started_at or now()
        self.has_worker = True

    def take_in(self, report: TrialReport) -> int:
        """Take in a worker's report; the number of epochs that are new. Idempotent."""
        known = len(self.measurements)
        self.measurements |= {measurement.epoch: measurement for measurement in report.measurements}
        self.node_id, self.saved = report.node_id, report.saved_epoch == report.epoch
        self.scores, self.costs, self.failure = report.scores, report.costs, report.failure
        return len(self.measurements) - known

    def decide(self, found: TrialEnd | TrialPause | None) -> None:
        """Note what the newest report means for the run: its end, a pause, or nothing."""
        self.end = found if isinstance(found, TrialEnd) else None
        self.pause = found if isinstance(found, TrialPause) else None

    @property
    def neg_bounds(self) -> dict[int, float]:
        """Held-out bound that the sweep ranks by, for each epoch, the first epoch first."""
        return {epoch: self.measurements[epoch].neg_bound for epoch in sorted(self.measurements)}

    @property
    def epoch_flops(self) -> float | None:
        """Cost of an epoch; None before the first has ended."""
        return self.costs.train_flops / max(self.measurements) if self.costs and self.measurements else None

    @property
    def params(self) -> Mapping[str, ParamValue]:
        return self.assignment.params

    @property
    def trained_bound(self) -> str | None:
        """Name of the bound that the last epoch has trained; None before the first has ended."""
        if not self.measurements:
            return None
        last = self.measurements[max(self.measurements)]
        return "elbo" if last.train_neg_iwae is None else f"iwae_{Config.from_params(self.params).bound_samples}"

    def criteria_so_far(self, spec: SweepSpec) -> tuple[float, ...]:
        """Criteria of a Pareto sweep that the trial has while it waits at a rung.

        Nothing if one is not known before the end, as instability is.
        """
        flops = self.epoch_flops
        known = {
            "neg_elbo": min((each.neg_elbo for each in self.measurements.values()), default=None),
            "train_flops": None if flops is None else flops * spec.budget.epochs,
        }
        values = [value for name in spec.objective.pareto or () if (value := known.get(name)) is not None]
        return tuple(values) if len(values) == len(spec.objective.pareto or ()) else ()

    def best_epoch(self, rule: StoppingRule) -> int:
        """The epoch whose weights are kept; the measurements are of all epochs so far."""
        return rule.best_epoch([self.measurements[epoch].neg_trained_bound for epoch in sorted(self.measurements)])


class RunsInFlight(dict[str, RunningTrial]):
    """Runs that have been handed out and have no row yet, by key. Counts may be taken from any thread."""

    @property
    def with_worker(self) -> int:
        """Runs that a worker has; the others wait for one."""
        return sum(running.has_worker for running in list(self.values()))

    @property
    def ended(self) -> int:
        """Runs that are only being committed."""
        return sum(running.end is not None for running in list(self.values()))

    @property
    def search_runs(self) -> bool:
        """True if a trial of the search is in flight, one that is only being committed included."""
        return any(not running.assignment.confirms for running in self.values())

    @property
    def others_run(self) -> bool:
        """True if a trial is in flight that may yet come to a rung."""
        return any(running.end is None and not running.assignment.confirms for running in self.values())


def end_of(
    report: TrialReport,
    running: RunningTrial,
    *,
    spec: SweepSpec,
    rungs: SuccessiveHalving,
    time_is_up: Callable[[], bool],
    stopped: bool = False,
) -> TrialEnd | TrialPause | None:
    """The end, or the pause, that a report means for its run; None: it goes on.

    Args:
        rungs: with all that is recorded, this report included.
        time_is_up: whether the search has used its time.
        stopped: whether somebody wants the trial to end as it stands.
    """
    if report.failure is not None:
        summary = report.failure.error.splitlines()[0]
        return TrialEnd(state=State.FAIL, reason=report.failure.reason, explanation=summary)
    confirms = running.assignment.confirms
    rule = spec.stopping_rule(running.params, confirms=confirms, epochs=running.assignment.epochs)
    if report.epoch >= rule.epochs:
        return TrialEnd(state=State.COMPLETE, reason=None, explanation=f"all {report.epoch} epochs done")
    if running.measurements and rule.is_patience_over(report.epoch, best_epoch=(best := running.best_epoch(rule))):
        explanation = f"complete at epoch {report.epoch}: none was better than epoch {best} for {rule.patience} epochs"
        return TrialEnd(state=State.COMPLETE, reason=None, explanation=explanation)
    if confirms:
        return None
    if stopped:
        return stopped_at(report.epoch)
    if report.epoch in rungs.epochs:
        decision = rungs.decide(report.epoch, running.assignment.trial)
        if decision.hopeless:
            return cut_at(report.epoch, decision)
        if not decision.advance and not time_is_up():
            return TrialPause(rung=report.epoch, explanation=f"waits at epoch {report.epoch}: {decision.reason}")
    if running.measurements and time_is_up():
        explanation = f"cut at epoch {report.epoch}: the budget of {budget_words(spec.budget)} is used"
        return TrialEnd(state=State.PRUNED, reason=Reason.TIME, explanation=explanation)
    return None


def cut_at(rung: int, decision: RungDecision) -> TrialEnd:
    """The end of a trial at a rung, where it does not advance, or the search ends before it could."""
    if decision.advance:
        explanation = f"cut at epoch {rung}: the search is over ({decision.reason})"
        return TrialEnd(state=State.PRUNED, reason=Reason.TIME, explanation=explanation)
    return TrialEnd(state=State.PRUNED, reason=Reason.RUNG, explanation=f"cut at epoch {rung}: {decision.reason}")


def stopped_at(epoch: int) -> TrialEnd:
    """The end of a trial that somebody has stopped after so many epochs."""
    return TrialEnd(state=State.PRUNED, reason=Reason.STOPPED, explanation=f"stopped at epoch {epoch} by a command")
