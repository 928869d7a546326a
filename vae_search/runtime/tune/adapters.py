"""Adapters between a `SweepCoordinator` and Ray Tune: a searcher, a scheduler, a callback and a stopper.

They only hand on. Whatever goes wrong in them is remembered and ends the run; nothing is raised into Tune, which would
drop trials half-way.
"""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from vae_search.data.tasks import Tasks
from vae_search.errors import ClusterTrouble, VaeSearchError
from vae_search.runtime.process_state import set_for_tune
from vae_search.runtime.ray_cluster import node_of_actor
from vae_search.runtime.tune.patches import lost_workers_told_apart, nodes_avoided, workers_retired
from vae_search.runtime.tune.trainable import REPORT, Worker
from vae_search.runtime.tune.worker_place import place_of
from vae_search.runtime.tune.worker_recovery import WorkerRecovery
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.driver_lifecycle import WORKERS_LEAVE_S
from vae_search.search.messages import TrialAssignment, WorkerConfig

logger = logging.getLogger(__name__)

# Tune, when it ends, waits so long for workers that are still in an epoch (`TuneController._cleanup_trials`). They save
# it when it is done; only the driver does not hear of it any more.
TUNE_WAITS_S = 10.0
WORKERS_REPORT_S = WORKERS_LEAVE_S - TUNE_WAITS_S


class TuneRunState:
    """One Tune run of one driver: the state that the four adapters share."""

    def __init__(
        self,
        coordinator: SweepCoordinator,
        *,
        limit: Callable[[], int],
        stop_requested: Callable[[], bool],
        monotonic: Callable[[], float],
        recovery: WorkerRecovery,
    ) -> None:
        self.coordinator = coordinator
        self.limit = limit
        self.recovery = recovery
        self.failure: Exception | None = None
        self._stop_requested = stop_requested
        self._monotonic = monotonic
        self._leaving_since_s: float | None = None

    @property
    def stopping(self) -> bool:
        """True if no further trial may start; looks into the store, and an unreachable store stops the run as well."""
        wanted: list[bool] = []
        self.guarded(lambda: wanted.append(self._stop_requested()))
        return self.failure is not None or any(wanted)

    @property
    def leaving(self) -> bool:
        """True if the run ends now: a stop waits until the workers, who have heard of it, have saved their epochs."""
        if self.failure is not None:
            return True
        if not self.stopping:
            return False
        if self._leaving_since_s is None:
            self._leaving_since_s = self._monotonic()
        return self._monotonic() - self._leaving_since_s > WORKERS_REPORT_S or not self.coordinator.unsaved

    def guarded(self, action: Callable[[], None]) -> None:
        """Do `action`; an error ends the run at the next step of Tune's loop and is raised when Tune is done."""
        if self.failure is not None:
            return
        try:
            action()
        except Exception as error:
            logger.exception("the sweep stops")
            self.failure = error


class _TuneAdapter:
    """Tune pickles its parts when a Tuner is made, to a folder that nobody reads; there they are empty."""

    def __init__(self, run: TuneRunState | None = None) -> None:
        self._shared = run

    @property
    def _run(self) -> TuneRunState:
        if self._shared is None:
            raise RuntimeError("this part of a Tune run was unpickled; a sweep is resumed from its ledger instead")
        return self._shared

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return (type(self), ())


class _SearchAdapter(_TuneAdapter, Searcher):  # type: ignore[misc]
    def __init__(self, run: TuneRunState | None = None) -> None:
        Searcher.__init__(self)
        _TuneAdapter.__init__(self, run)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        run = self._run
        if run.stopping:
            return str(Searcher.FINISHED)
        assignment: dict[str, Any] = {}

        def ask() -> None:
            # With nothing to train Tune would sleep for a second between its questions.
            run.coordinator.settle(wait=run.coordinator.claimed_slots == 0)
            full = run.coordinator.claimed_slots >= run.limit()
            asked = None if full else run.coordinator.next_assignment()
            if asked is not None:
                assignment.update(asdict(asked))

        run.guarded(ask)
        # While anything is in flight, a command may bring more; once told of the end Tune does not ask again.
        over = run.coordinator.exhausted and run.coordinator.in_flight == 0
        if assignment or (run.failure is None and not over):
            return assignment or None  # the next one comes when one in flight has ended
        return str(Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to do: the callback commits trials. Tune calls it after scheduler and searcher have had their say."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: rows are the truth (invariant I2)."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a sweep is resumed from its ledger."""


class _SchedulerAdapter(_TuneAdapter, FIFOScheduler):  # type: ignore[misc]
    def __init__(self, run: TuneRunState | None = None) -> None:
        FIFOScheduler.__init__(self)
        _TuneAdapter.__init__(self, run)

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        run, report = self._run, result[REPORT]
        ends = False

        def record() -> None:
            nonlocal ends
            run.recovery.saved(report.key, report.saved_epoch)
            ends = run.coordinator.record(report) is not None

        run.guarded(record)
        return str(TrialScheduler.STOP if ends else TrialScheduler.CONTINUE)


class _CommitCallback(_TuneAdapter, tune.Callback):  # type: ignore[misc]
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        def begin() -> None:
            key, actor = _key(trial), trial.temporary_state.ray_actor
            self._run.recovery.began(key, None if actor is None else node_of_actor(actor._actor_id.hex()))
            self._run.coordinator.started(key)

        self._run.guarded(begin)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        def commit() -> None:
            self._run.coordinator.begin_commit(_key(trial))
            self._run.recovery.ended(_key(trial))

        self._run.guarded(commit)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """A worker was lost and Tune will start another: no fault of the config's, so no row (invariant I8)."""
        self._run.guarded(lambda: self._run.coordinator.waits_again(_key(trial)))
        self._run.guarded(lambda: self._run.recovery.lost(_key(trial), _cause()))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: object) -> None:
        """Tune has given a trial up by itself, for an error that is not a lost worker's."""

        def give_up() -> None:
            cause = _cause()
            if isinstance(cause, VaeSearchError):
                raise cause
            said = next(iter(str(cause).splitlines()), "")[:200]
            raise ClusterTrouble(f"run {_key(trial)}: Ray Tune gave it up for {type(cause).__name__}: {said}")

        self._run.guarded(give_up)


class _StopAdapter(_TuneAdapter, Stopper):  # type: ignore[misc]
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._run.guarded(self._run.coordinator.settle)  # Tune asks in each turn of its loop
        self._run.guarded(self._run.coordinator.heed)
        return self._run.leaving


def run_trials(
    coordinator: SweepCoordinator,
    *,
    config: WorkerConfig,
    tasks: Tasks,
    limit: Callable[[], int],
    stop_requested: Callable[[], bool],
    scratch: Path,
    recovery: WorkerRecovery,
    most_cpus: int = 1,
) -> None:
    """Train trials until the driver has no more, or somebody stops the sweep. Needs a connected Ray.

    Args:
        tasks: asked for in each worker.
        limit: how many trials may be in flight now.
        stop_requested: asked often; once true, no trial is issued and those in flight stay as they are.
        scratch: folder for Tune's own files; nothing in it is ever read.
        recovery: decides what follows from lost workers.
        most_cpus: that Ray keeps free for one run, however many threads it has.

    Raises:
        VaeSearchError: What ended the run before its time; the sweep can be resumed.
        Exception: A bug of ours did.
    """
    set_for_tune()
    run = TuneRunState(
        coordinator, limit=limit, stop_requested=stop_requested, monotonic=time.monotonic, recovery=recovery
    )
    spec = config.spec

    def avoided() -> list[str]:
        nodes: list[str] = []
        run.guarded(lambda: nodes.extend(recovery.avoided()))
        return nodes

    # Trainables are registered by name for a whole cluster: two sweeps must not share one.
    trainable = tune.with_parameters(Worker, worker_config=config, tasks=tasks)
    trainable.__name__ = f"{spec.name}-l{config.lease}"
    tuner = tune.Tuner(
        tune.with_resources(trainable, partial(place_of, spec.resources, most_cpus=most_cpus)),
        tune_config=tune.TuneConfig(
            search_alg=_SearchAdapter(run),
            scheduler=_SchedulerAdapter(run),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_key,
            trial_dirname_creator=_key,
        ),
        run_config=tune.RunConfig(
            name=f"{spec.name}-l{config.lease}",
            storage_path=str(scratch),
            stop=_StopAdapter(run),
            callbacks=[_CommitCallback(run)],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=-1),  # `recovery` counts them
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        with lost_workers_told_apart(), nodes_avoided(avoided), workers_retired(config.trials_per_process):
            tuner.fit()
        run.guarded(lambda: coordinator.settle(wait=True))
    except ray.exceptions.RayError as error:
        raise run.failure or ClusterTrouble(f"Ray: {str(error).splitlines()[0]}") from error
    if run.failure is not None:
        raise run.failure


def _cause() -> object:
    """The error that Tune handles while it calls us; it keeps no other trace of it that can be read."""
    raised = sys.exception()
    return getattr(raised, "cause", raised)  # of a task's error, what the task raised


def _key(trial: Trial) -> str:
    return TrialAssignment(**trial.config).key
