"""Runner of trials, one after another, in one process. Knows TensorFlow and the store, not Ray."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from vae_search.core.image_bounds import ImageBounds
from vae_search.core.measurements import Diverged, EpochMeasurement
from vae_search.core.trial_state import Reason
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.errors import Conflict, InvalidSpec, VaeSearchError
from vae_search.search.messages import (
    MEASUREMENTS_FILE,
    STATE_FILE,
    Failure,
    TrialAssignment,
    TrialReport,
    WorkerConfig,
)
from vae_search.search.worker.counted_failures import CountedFailures, told
from vae_search.search.worker.watchdog import Watchdog, end_process
from vae_search.spec.hyperparameters import Config
from vae_search.spec.own_code.code_loading import provide
from vae_search.store.backends.base import Store
from vae_search.store.leases.records import stop_requested
from vae_search.store.ledger import checkpoints
from vae_search.store.ledger.artifacts import MODEL_FILE, PER_IMAGE_FILE, WEIGHTS_FILE
from vae_search.store.ledger.image_bounds_file import bounds_from_parquet, bounds_to_parquet
from vae_search.vae.inference.npz import arrays_of, npz_of
from vae_search.vae.inference.scoring import judge
from vae_search.vae.measuring.measuring import MetricsEngine
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import OUT_OF_MEMORY, Trainer
from vae_search.vae.training.training_run import TrainingRun

logger = logging.getLogger(__name__)

MOST_SCORING_THREADS = 4  # each of them holds a part of an evaluation in memory
LEAVING_POLL_S = 1.0  # between two looks for a request to stop, or a node that goes


class TrialRunner:
    """One worker's loop body: `begin` a trial, then `step` until the driver has heard enough."""

    def __init__(
        self,
        config: WorkerConfig,
        task: TrainingTask,
        judge_task: JudgeTask,
        store: Store,
        *,
        node_id: str,
        leaves_soon: Callable[[], bool] = lambda: False,
        threads: int | None = None,
        shards: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        end_process: Callable[[], None] = end_process,
    ) -> None:
        """Make the worker's engine.

        Raises:
            InvalidSpec: A function of the spec's metrics cannot be imported here.
            NodeTrouble: This machine cannot train, or has other code than the driver.
        """
        for each in config.code:
            provide(each)
        self._config = config
        self._judge_task = judge_task
        self._store = store
        self._failures = CountedFailures(store, config.spec)
        self._node_id = node_id
        self._leaves_soon = leaves_soon
        self._monotonic = monotonic
        spec = config.spec
        self._trial_plan = TrainingPlan.of(spec, rungs=config.rungs)
        self._threads_of_operation = threads or spec.resources.cpus_per_trial if shards is None else 1
        self._scoring_threads = 1 if shards is None else min(threads or 1, MOST_SCORING_THREADS)
        self._trainer = Trainer.of(spec, task, threads=threads, shares_operations=shards is None)
        self._metrics = MetricsEngine(metrics=spec.metrics, task=task) if spec.metrics else None
        if self._metrics is not None:
            self._metrics.import_all()
        self._assignment: TrialAssignment | None = None
        self._run: TrainingRun | None = None
        self._bounds: ImageBounds | None = None  # of a confirm run after its last epoch
        self._reported = 0
        self._saved_at = 0.0
        self._saved_epoch = 0
        self._leaving_looked_at = 0.0
        self._leaving = False
        self._watchdog = Watchdog(
            spec.trial_timeout_s, on_timeout=self._record_timeout, end_process=end_process, monotonic=monotonic
        )

    def begin(self, assignment: TrialAssignment) -> None:
        """Take over a trial. Cheap and safe: whatever can go wrong happens in the first `step`."""
        self._assignment = assignment
        self._restart()

    def step(self) -> TrialReport:
        """Train one epoch and report it; a trial found on a checkpoint is reported as it stands, before it goes on.

        Failures that belong to the config are reported, not raised.
        """
        assignment = self._assignment
        if assignment is None:
            raise RuntimeError("`begin` must come before `step`")
        while True:
            with self._watchdog.watching():
                report = self._step(assignment)
            if report is not None:
                return report
            self._restart()

    def _restart(self) -> None:
        """From the last checkpoint, or anew."""
        self._run = None
        self._bounds = None
        self._reported = 0
        self._saved_epoch = 0
        self._watchdog.restart()

    def _step(self, assignment: TrialAssignment) -> TrialReport | None:
        """None after a first failure that does not count yet: the trial goes on from its last checkpoint."""
        try:
            if self._run is None:
                if (counted := self._failures.end_of(assignment.key)) is not None:
                    return self._failed(assignment, counted)
                self._run = self._start(assignment)
                if self._run.epoch > 0:
                    return self._report(assignment, self._run)
            self._run.train_epoch()
            self._save_if_due(assignment, self._run)
            return self._report(assignment, self._run)
        except Diverged as error:
            logger.warning("run %s diverged: %s", assignment.key, error)
            return self._failed(assignment, Failure(reason=Reason.DIVERGED, error=str(error)))
        except OUT_OF_MEMORY as error:
            logger.exception("run %s ran out of memory", assignment.key)
            counted = self._failures.note_out_of_memory(assignment.key, error)
            return None if counted is None else self._failed(assignment, counted)
        except InvalidSpec as error:  # of a network from elsewhere, which cannot be built with these parameters
            logger.warning("run %s has no network: %s", assignment.key, error)
            return self._failed(assignment, Failure(reason=Reason.RAISED, error=str(error)))
        except (VaeSearchError, OSError):
            raise  # the store's or the machine's trouble, not the config's
        except Exception as error:  # any other is the config's own fault, whatever library it comes from
            logger.exception("run %s raised", assignment.key)
            return self._failed(assignment, Failure(reason=Reason.RAISED, error=told(error)))

    def _start(self, assignment: TrialAssignment) -> TrainingRun:
        wanted = assignment.threads or self._config.spec.resources.cpus_per_trial if assignment.shards is None else 1
        if wanted != self._threads_of_operation:  # another number would be other bits
            raise Conflict(
                f"run {assignment.key} has {wanted} threads for each operation, but TensorFlow in this process has "
                f"{self._threads_of_operation}, which its first use has fixed.\nRun the same command again, without "
                "--inline: then the run has a process of its own, on any number of cores."
            )
        run = self._trainer.start(
            Config.from_params(assignment.params), self._plan_of(assignment), seed=assignment.seed
        )
        self._saved_at = self._monotonic()
        checkpoint = checkpoints.newest_intact(self._store, self._config.spec.name, assignment.key)
        if checkpoint is not None:
            arrays, measurements = (checkpoint.files[name] for name in (STATE_FILE, MEASUREMENTS_FILE))
            run.restore(arrays_of(arrays), _measurements_of(measurements))
            self._saved_epoch = checkpoint.epoch
            if PER_IMAGE_FILE in checkpoint.files:
                self._bounds = bounds_from_parquet(checkpoint.files[PER_IMAGE_FILE], where=PER_IMAGE_FILE)
            logger.info("run %s continues after epoch %d", assignment.key, run.epoch)
        elif assignment.continues_epoch is not None:
            raise ValueError(f"the state of epoch {assignment.continues_epoch} that it goes on from is gone or damaged")
        else:
            logger.info("run %s starts: %s", assignment.key, json.dumps(dict(assignment.params)))
        return run

    def _plan_of(self, assignment: TrialAssignment) -> TrainingPlan:
        if not assignment.confirms:
            return self._trial_plan
        epochs = assignment.epochs or self._config.spec.confirm_epochs
        return self._trial_plan.confirming(epochs, decay_epochs=assignment.decay_epochs, shards=assignment.shards or 1)

    def _save_if_due(self, assignment: TrialAssignment, run: TrainingRun) -> None:
        last = run.is_over
        waited_s = self._monotonic() - self._saved_at
        stops = run.epoch in (*self._config.rungs, assignment.turn_epoch, assignment.branch_epoch)
        due = last or stops or waited_s >= self._config.spec.checkpoint_s
        if not (due or self._must_leave()):
            return
        files = {
            STATE_FILE: npz_of(run.state()),
            MEASUREMENTS_FILE: json.dumps([asdict(measurement) for measurement in run.measurements]).encode(),
        }
        if run.epoch == assignment.branch_epoch:  # before its own: what has been reported must be there
            self._save(assignment.continued_key, run, files)
        if last:
            weights = run.averaged_weights()
            files[WEIGHTS_FILE] = npz_of(weights)
            description = self._description_of(run)
            files[MODEL_FILE] = description.to_json()
            if assignment.confirms:
                self._bounds = judge(weights, description, self._judge_task, threads=self._scoring_threads)
                files[PER_IMAGE_FILE] = bounds_to_parquet(self._bounds)
        self._save(assignment.key, run, files)
        self._saved_at = self._monotonic()
        self._saved_epoch = run.epoch

    def _save(self, key: str, run: TrainingRun, files: Mapping[str, bytes]) -> None:
        sweep, lease = self._config.spec.name, self._config.lease
        checkpoints.save(self._store, sweep, key, lease=lease, epoch=run.epoch, files=files)
        checkpoints.prune(self._store, sweep, key, lease=lease)

    def _description_of(self, run: TrainingRun) -> ModelDescription:
        return ModelDescription(
            network=run.network_spec,
            levels=self._trainer.task.pixels.levels,
            clamp=self._config.spec.log_variance_clamp,
            known_classes=self._trainer.task.known_classes,
        )

    def _must_leave(self) -> bool:
        """True if the driver or the node is about to go, so that every epoch is saved; looked up now and then."""
        now = self._monotonic()
        if now - self._leaving_looked_at >= LEAVING_POLL_S:
            self._leaving_looked_at = now
            self._leaving = self._leaves_soon() or stop_requested(
                self._store, self._config.spec.name, self._config.lease
            )
        return self._leaving

    def _record_timeout(self) -> None:
        """Called from another thread, in the middle of a step."""
        if self._assignment is not None:
            self._failures.note_timeout(self._assignment.key)

    def _report(self, assignment: TrialAssignment, run: TrainingRun) -> TrialReport:
        news, since = tuple(run.measurements[self._reported :]), assignment.continues_epoch or 0
        self._reported = run.epoch
        scores = run.scores() if run.is_over else None
        if scores is not None and self._bounds is not None:
            scores = replace(scores, iwae=float(self._bounds.iwae.mean()), iwae_k=self._bounds.iwae_k)
        if scores is not None and self._metrics is not None:
            task, judge_task = self._trainer.task, self._judge_task
            images = judge_task.images if assignment.confirms else task.select
            labels = (judge_task if assignment.confirms else task).measured_labels
            measured = self._metrics.measure(run.averaged_weights(), self._description_of(run), images, labels)
            scores = replace(scores, metrics=measured.values, metric_trouble=measured.trouble)
        return TrialReport(
            key=assignment.key,
            epoch=run.epoch,
            measurements=news,
            costs=run.costs(after=since) if run.epoch > since else None,
            scores=scores,
            failure=None,
            node_id=self._node_id,
            saved_epoch=self._saved_epoch,
        )

    def _failed(self, assignment: TrialAssignment, failure: Failure) -> TrialReport:
        measurements, since = [] if self._run is None else self._run.measurements, assignment.continues_epoch or 0
        return TrialReport(
            key=assignment.key,
            epoch=len(measurements),
            measurements=tuple(measurements[self._reported :]),
            costs=self._run.costs(after=since) if self._run and len(measurements) > since else None,
            scores=None,
            failure=failure,
            node_id=self._node_id,
            saved_epoch=self._saved_epoch,
        )


def _measurements_of(content: bytes) -> list[EpochMeasurement]:
    return [EpochMeasurement(**fields) for fields in json.loads(content)]
