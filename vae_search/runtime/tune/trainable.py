"""The Ray Tune Trainable around `TrialRunner`: one actor serves trial after trial (`reuse_actors`)."""

import os
import threading
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from vae_search.data.tasks import Tasks
from vae_search.errors import InvalidSpec, NodeTrouble
from vae_search.runtime.process_state import import_hidden, set_for_worker
from vae_search.runtime.ray_cluster import is_draining
from vae_search.runtime.store_probe import check_same_store
from vae_search.search.messages import TrialAssignment, TrialReport, WorkerConfig
from vae_search.search.worker.log_file import WorkerLog
from vae_search.store.backends.retrying import RetryingStore
from vae_search.store.backends.uri import open_store

if TYPE_CHECKING:
    from vae_search.search.worker.trial_runner import TrialRunner

REPORT = "report"
"""The one key of a result: a TrialReport is no dict, so Tune hands it on as it is instead of flattening it."""


class Worker(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Trains the assignments that come as Tune configs; each step is one epoch.

    Nothing in `reset_config` may fail: a reset that fails leaks a slot of Tune's. Whatever can go wrong does so in
    `step`.
    """

    def setup(self, config: dict[str, Any], worker_config: WorkerConfig, tasks: Tasks) -> None:
        """Quick, so that Tune sees the actor started: TensorFlow is loaded in the first step.

        While an actor is still starting, Tune gives its trial to any other that becomes free and kills it; with an
        import of several seconds in here, short trials would never get a second worker.
        """
        set_for_worker()
        self._config = worker_config
        self._tasks = tasks
        self._assignment = TrialAssignment(**config)
        self._node_id = ray.get_runtime_context().get_node_id()
        self._runner: TrialRunner | None = None
        self._log: WorkerLog | None = None

    def step(self) -> dict[str, TrialReport]:
        if self._runner is None:
            self._runner = self._make_runner()
            self._runner.begin(self._assignment)
        report = self._runner.step()
        if self._log is not None and (report.scores is not None or report.failure is not None):
            self._log.copy()
        return {REPORT: report}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._assignment = TrialAssignment(**new_config)
        if self._runner is not None:
            self._runner.begin(self._assignment)
        return True

    def _make_runner(self) -> "TrialRunner":
        # Not above: the driver imports this module, and must stay without TensorFlow.
        with import_hidden("sklearn"):  # TensorFlow loads Keras, whose wrappers would load it: a second of the start
            from vae_search.search.worker.trial_runner import TrialRunner

        store = RetryingStore(open_store(self._config.store), wait=threading.Event().wait)
        check_same_store(store, self._config.spec.name, self._config.lease)
        self._log = WorkerLog(self._config, store, name=f"worker-{self._node_id[:8]}-{os.getpid()}.log")
        task, judge_task = self._tasks()
        try:
            return TrialRunner(
                self._config,
                task,
                judge_task,
                store,
                node_id=self._node_id,
                leaves_soon=lambda: is_draining(self._node_id),
                threads=self._assignment.threads,
                shards=self._assignment.shards,
            )
        except InvalidSpec as error:  # what a metric imports is not installed here; other nodes may have it
            raise NodeTrouble(str(error)) from error
