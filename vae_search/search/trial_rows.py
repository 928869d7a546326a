"""Trial rows: the ledger rows that a trial becomes when it ends, its objective, and its learning curve."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from vae_search.core.measurements import Scores
from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, StoreUnavailable
from vae_search.search.confirmation import ConfirmationPlan
from vae_search.search.running_trial import RunningTrial, SweepContext, TrialEnd
from vae_search.search.weight_retention import WeightRetention
from vae_search.spec.sections import Objective
from vae_search.store.backends.base import Store
from vae_search.store.control.enqueued_trials import EnqueuedTrials
from vae_search.store.leases.lease import Lease
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRunRows
from vae_search.store.ledger.rows import SCHEMA_VERSION, EpochRow, TrialRow
from vae_search.store.ledger.trials import Ledger, LedgerRows
from vae_search.store.paths import SweepPaths, number_of
from vae_search.store.sweeps.identity import SET_ASIDE

logger = logging.getLogger(__name__)

LEAST_UNCOPIED, MOST_UNCOPIED = 100, 500  # rows; a copy is written whole, so a large one is made less often


def objective_of(scores: Scores, objective: Objective) -> float | None:
    """`neg_bound + stability_weight · instability`, nats, minimised; the bound alone in a sweep without instability.

    None in a Pareto sweep: there no criterion is weighed against another.
    """
    if objective.pareto is not None:
        return None
    if scores.instability is None:
        return scores.neg_bound
    return scores.neg_bound + objective.stability_weight * scores.instability.total


def epoch_rows(running: RunningTrial, sweep: str) -> list[EpochRow]:
    """The learning curve, one row per epoch, in order."""
    return [
        EpochRow(
            sweep=sweep,
            trial=running.assignment.trial,
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
            iwae=m.iwae,
            train_neg_iwae=m.train_neg_iwae,
        )
        for _, m in sorted(running.measurements.items())
    ]


def trial_row(running: RunningTrial, end: TrialEnd, context: SweepContext, *, finished_at: datetime) -> TrialRow:
    """The row of a trial that has ended, as if its weights were not kept.

    Scores that need a trial's end are NULL for one that was cut; the others are of the best epoch in any case.
    """
    spec, scores = context.spec, running.scores if end.state is State.COMPLETE else None
    rule = spec.stopping_rule(running.params, confirms=running.assignment.confirms, epochs=running.assignment.epochs)
    best = running.measurements[running.best_epoch(rule)] if running.measurements else None
    instability = scores.instability if scores else None
    costs = running.costs
    return TrialRow(
        schema_version=SCHEMA_VERSION,
        sweep=spec.name,
        trial=running.assignment.trial,
        state=end.state,
        reason=end.reason,
        error=running.failure.error if running.failure else scores.metric_trouble if scores else None,
        seed=running.assignment.seed,
        attempts=running.attempts,
        lease=context.lease,
        node_id=running.node_id,
        started_at=running.started_at or finished_at,
        finished_at=finished_at,
        epochs=len(running.measurements),
        objective=objective_of(scores, spec.objective) if scores else None,
        best_epoch=best.epoch if best else None,
        neg_elbo=best.neg_elbo if best else None,
        distortion=best.distortion if best else None,
        rate=best.rate if best else None,
        bits_per_dim=scores.bits_per_dim if scores else None,
        floor_excess=scores.floor_excess if scores else None,
        iwae=scores.iwae if scores else None,
        iwae_k=scores.iwae_k if scores else None,
        instability=instability.total if instability else None,
        instability_regression=instability.regression if instability else None,
        instability_roughness=instability.roughness if instability else None,
        instability_spikes=instability.spikes if instability else None,
        instability_stagnation=instability.stagnation if instability else None,
        active_units=scores.active_units if scores else None,
        kl_per_dimension=scores.kl_per_dimension if scores else None,
        shuffle_gap=scores.shuffle_gap if scores else None,
        mutual_information=scores.mutual_information if scores else None,
        marginal_kl=scores.marginal_kl if scores else None,
        train_neg_elbo=scores.train_neg_elbo if scores else None,
        generalisation_gap=scores.generalisation_gap if scores else None,
        logvar_clamp_share=best.clamped_share if best else None,
        scale_clamp_share=best.scale_clamped_share if best else None,
        clip_share=scores.clip_share if scores else None,
        skipped_steps=sum(m.skipped_steps for m in running.measurements.values()) if best else None,
        parameters=costs.parameters if costs else None,
        train_flops=costs.train_flops if costs else None,
        cpu_s=costs.cpu_s if costs else None,
        wall_s=costs.wall_s if costs else None,
        images_per_s=costs.images_per_s if costs else None,
        peak_memory_bytes=costs.peak_memory_bytes if costs else None,
        compiled=costs.compiled if costs else None,
        device=costs.device if costs else None,
        params=dict(running.assignment.params),
        metrics=scores.metrics if scores else {metric.column: None for metric in spec.metrics},
        comparability_key=context.comparability_key,
        spec_sha256=spec.sha256,
        versions_json=json.dumps(dict(context.versions), sort_keys=True),
        epochs_sha256=None,
        artifact_sha256=None,
        command=running.assignment.command,
        incarnation=context.incarnation,
        trained_bound=running.trained_bound,
    )


def check_own(trials: LedgerRows, confirm_runs: ConfirmRunRows, context: SweepContext) -> None:
    """Refuse to continue a sweep whose folder holds rows of another one.

    Raises:
        CorruptStore: Naming the first of them.
    """
    sweep, own = context.spec.name, (context.spec.sha256, context.comparability_key)
    paths = SweepPaths(sweep)
    foreign = {**trials.foreign, **confirm_runs.foreign}
    for row in (*trials.rows, *confirm_runs.rows, *confirm_runs.continued):
        if (row.spec_sha256, row.comparability_key) != own:
            folder = paths.finalists if isinstance(row, ConfirmRow) else paths.trials
            foreign[f"{folder}/{row.key}.parquet"] = "was made with another spec, or on other images"
    for path, problem in sorted(foreign.items())[:1]:
        others = f" (and {len(foreign) - 1} more files)" if len(foreign) > 1 else ""
        advice = f"`vae-search verify {sweep}` lists them all. {SET_ASIDE}"
        raise CorruptStore(f"{problem}{others}.", path=path, advice=advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTrials:
    """The trials of a sweep that have ended, as a new driver finds them."""

    trials: Sequence[tuple[TrialRow, Sequence[EpochRow]]]
    """row and learning curve of each that can be read"""
    numbers: frozenset[int]
    """of all, those included whose row is damaged or set aside"""

    @property
    def commands(self) -> Mapping[int, int | None]:
        """Command by which somebody enqueued the config of each trial whose row can be read."""
        return {row.trial: row.command for row, _ in self.trials}


def read_finished(ledger: Ledger, confirm_runs: ConfirmRunRows, context: SweepContext) -> FinishedTrials:
    """Read the trials that have ended; refuse another sweep's.

    Raises:
        CorruptStore: A row is another sweep's.
    """
    found = ledger.read()
    check_own(found, confirm_runs, context)
    lost = {number_of(path) for path in found.damaged} | {*found.set_aside}
    curves = ledger.curves(found.rows)
    if left_out := [*found.damaged, *curves.damaged]:
        logger.warning("damaged files are left out: %s", left_out)
    return FinishedTrials(
        trials=[(row, curves.by_trial.get(row.trial, [])) for row in found.rows],
        numbers=frozenset({row.trial for row in found.rows} | {trial for trial in lost if trial is not None}),
    )


class RowWriter:
    """The way of a run that has ended into the store: artifact, epoch rows, row.

    Args:
        now: time of day.
        plan: knows the rows of confirm runs.
        retention: knows the weights that are kept.
    """

    def __init__(
        self,
        context: SweepContext,
        *,
        store: Store,
        lease: Lease,
        now: Callable[[], datetime],
        plan: ConfirmationPlan,
        retention: WeightRetention,
    ) -> None:
        self._context = context
        self._lease = lease
        self._now, self._plan, self._retention = now, plan, retention
        self._ledger = Ledger(store, context.spec.name)
        self._enqueued = EnqueuedTrials(store, context.spec.name, incarnation=context.incarnation)
        self._compacted = 0  # rows at the last compaction by this driver

    def call_for(self, running: RunningTrial) -> Callable[[], TrialRow]:
        """The call that makes the end of a run durable, and returns its row. It may be made in any thread.

        Raises:
            ValueError: The run has not ended.
        """
        if (end := running.end) is None:
            raise ValueError(f"run {running.assignment.key} has not ended, and cannot be committed")
        row = trial_row(running, end, self._context, finished_at=self._now())
        is_kept = end.state is State.COMPLETE and (running.assignment.confirms or self._retention.wants(row))
        return lambda: self._write(running, row, is_kept=is_kept)

    def _write(self, running: RunningTrial, row: TrialRow, *, is_kept: bool) -> TrialRow:
        confirm_seed, sha256 = running.assignment.confirm_seed, None
        if is_kept:
            self._lease.check()
            sha256 = self._retention.keep(running)
        self._lease.check()  # writing an artifact takes long enough to be stopped in the middle
        row = replace(row, finished_at=self._now(), artifact_sha256=sha256)
        if confirm_seed is None:
            self._enqueued.note(row.trial, row.command)
            row = self._ledger.commit(row, epoch_rows(running, self._context.spec.name))
        else:
            row = self._plan.write(row, confirm_seed=confirm_seed)
        if row.lease != self._lease.number:  # this process was stopped since the check, and another has written the row
            self._lease.check()
        return row

    def compact(self) -> None:
        """Bring the derived copies up to date; trouble with that must not end a sweep, a lost lease does."""
        try:
            self._lease.check()
            self._ledger.compact()
        except StoreUnavailable as error:
            logger.warning("the rows were not compacted: %s", error)

    def compact_if_due(self, *, rows: int) -> None:
        """Do so now and then, by the number of rows: each that is in no copy is a file that readers open."""
        if rows - self._compacted >= min(MOST_UNCOPIED, max(LEAST_UNCOPIED, rows // 4)):
            self.compact()
            self._compacted = rows
