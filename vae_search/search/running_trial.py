"""A trial in flight, when it ends, and the row that it becomes when it lands."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vae_search.core.measurements import Costs, EpochMeasurement, Scores
from vae_search.core.trial_state import Reason, State
from vae_search.search.messages import Failure, TrialOrder, TrialReport
from vae_search.search.pruning import Rungs
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.sections import Objective
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.rows import SCHEMA_VERSION, EpochRow, TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a trial ends, and why: the words of the ledger plus one sentence for the log."""

    state: State
    reason: Reason | None
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What every row of one driver's sweep has in common."""

    spec: SweepSpec
    lease: int
    comparability_key: str
    versions: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class Flight:
    """One trial between its suggestion and its row."""

    order: TrialOrder
    attempts: int
    """how often a worker has begun with it"""
    started_at: datetime | None = None
    node_id: str | None = None
    measurements: dict[int, EpochMeasurement] = field(default_factory=dict)
    costs: Costs | None = None
    scores: Scores | None = None
    failure: Failure | None = None
    verdict: Verdict | None = None
    saved: bool = False
    """whether its newest report is in a checkpoint"""

    @property
    def neg_elbos(self) -> dict[int, float]:
        """Held-out value by epoch, the first epoch first."""
        return {epoch: self.measurements[epoch].neg_elbo for epoch in sorted(self.measurements)}

    @property
    def params(self) -> Mapping[str, ParamValue]:
        return self.order.params


def verdict_of(
    report: TrialReport, flight: Flight, *, spec: SweepSpec, rungs: Rungs, time_is_up: Callable[[], bool]
) -> Verdict | None:
    """What a report means for its run; None: it goes on.

    Args:
        rungs: with all that is recorded, this report included.
        time_is_up: whether the search has used its time.
    """
    if report.failure is not None:
        summary = report.failure.error.splitlines()[0]
        return Verdict(state=State.FAIL, reason=report.failure.reason, explanation=summary)
    confirms = flight.order.confirms
    if report.epoch >= (spec.confirm_epochs if confirms else spec.budget.epochs):
        return Verdict(state=State.COMPLETE, reason=None, explanation=f"all {report.epoch} epochs done")
    if confirms:
        return None
    if report.epoch in rungs.epochs:
        decision = rungs.decide(report.epoch, flight.order.trial)
        if not decision.advance:
            explanation = f"cut at epoch {report.epoch}: {decision.reason}"
            return Verdict(state=State.PRUNED, reason=Reason.RUNG, explanation=explanation)
    if flight.measurements and time_is_up():
        explanation = f"cut at epoch {report.epoch}: the budget of {spec.budget.minutes:g} minutes is used"
        return Verdict(state=State.PRUNED, reason=Reason.TIME, explanation=explanation)
    return None


def objective_of(scores: Scores, objective: Objective) -> float | None:
    """`neg_elbo + stability_weight · instability`, nats, minimised; without enough evaluations the bound alone.

    None in a Pareto sweep: there no criterion is weighed against another.
    """
    if objective.pareto is not None:
        return None
    if scores.instability is None:
        return scores.neg_elbo
    return scores.neg_elbo + objective.stability_weight * scores.instability.total


def criteria_of(row: TrialRow, names: Sequence[str], *, epochs: int) -> tuple[float, ...]:
    """What the sampler of a Pareto sweep learns of a trial; nothing if a value is not known.

    Of a PRUNED trial the bound that it had reached, which more epochs would have lowered, and the cost of all epochs.
    """
    values = {name: getattr(row, name) for name in names}
    if row.state is State.PRUNED and row.epochs and values.get("train_flops") is not None:
        values["train_flops"] *= epochs / row.epochs
    known = [value for value in values.values() if value is not None]
    return tuple(known) if row.state in (State.COMPLETE, State.PRUNED) and len(known) == len(names) else ()


def epoch_rows(flight: Flight, sweep: str) -> list[EpochRow]:
    """The learning curve, one row per epoch, in order."""
    return [
        EpochRow(
            sweep=sweep,
            trial=flight.order.trial,
            epoch=m.epoch,
            neg_elbo=m.neg_elbo,
            distortion=m.distortion,
            rate=m.rate,
            train_neg_elbo=m.train_neg_elbo,
            beta=m.beta,
            learning_rate=m.learning_rate,
            grad_norm_median=m.grad_norm_median,
            grad_norm_max=m.grad_norm_max,
            clip_share=m.clip_share,
            skipped_steps=m.skipped_steps,
            spike_excess=m.spike_excess,
            cpu_s=m.cpu_s,
            wall_s=m.wall_s,
        )
        for _, m in sorted(flight.measurements.items())
    ]


def trial_row(flight: Flight, verdict: Verdict, provenance: Provenance, *, finished_at: datetime) -> TrialRow:
    """The row of a landed trial, as if its weights were not kept.

    Scores that need the last epoch are NULL for a trial that was cut.
    """
    spec, scores = provenance.spec, flight.scores if verdict.state is State.COMPLETE else None
    last = flight.measurements[max(flight.measurements)] if flight.measurements else None
    instability = scores.instability if scores else None
    costs = flight.costs
    return TrialRow(
        schema_version=SCHEMA_VERSION,
        sweep=spec.name,
        trial=flight.order.trial,
        state=verdict.state,
        reason=verdict.reason,
        error=flight.failure.error if flight.failure else None,
        seed=flight.order.seed,
        attempts=flight.attempts,
        lease=provenance.lease,
        node_id=flight.node_id,
        started_at=flight.started_at or finished_at,
        finished_at=finished_at,
        epochs=len(flight.measurements),
        objective=objective_of(scores, spec.objective) if scores else None,
        neg_elbo=last.neg_elbo if last else None,
        distortion=last.distortion if last else None,
        rate=last.rate if last else None,
        bits_per_dim=scores.bits_per_dim if scores else None,
        floor_excess=scores.floor_excess if scores else None,
        iwae=scores.iwae if scores else None,
        iwae_k=scores.iwae_k if scores else None,
        instability=instability.total if instability else None,
        instability_regression=instability.regression if instability else None,
        instability_roughness=instability.roughness if instability else None,
        instability_spikes=instability.spikes if instability else None,
        active_units=scores.active_units if scores else None,
        kl_per_dimension=scores.kl_per_dimension if scores else None,
        shuffle_gap=scores.shuffle_gap if scores else None,
        train_neg_elbo=scores.train_neg_elbo if scores else None,
        generalisation_gap=scores.generalisation_gap if scores else None,
        logvar_clamp_share=last.clamped_share if last else None,
        scale_clamp_share=last.scale_clamped_share if last else None,
        clip_share=scores.clip_share if scores else None,
        skipped_steps=sum(m.skipped_steps for m in flight.measurements.values()) if last else None,
        parameters=costs.parameters if costs else None,
        train_flops=costs.train_flops if costs else None,
        cpu_s=costs.cpu_s if costs else None,
        wall_s=costs.wall_s if costs else None,
        images_per_s=costs.images_per_s if costs else None,
        peak_memory_bytes=costs.peak_memory_bytes if costs else None,
        compiled=costs.compiled if costs else None,
        params=dict(flight.order.params),
        comparability_key=provenance.comparability_key,
        spec_sha256=spec.sha256,
        versions_json=json.dumps(dict(provenance.versions), sort_keys=True),
        epochs_sha256=None,
        artifact_sha256=None,
    )
