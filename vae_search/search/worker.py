"""The Ray Tune Trainable around `TrialRunner`: one actor serves trial after trial (`reuse_actors`)."""

import logging
import os
from pathlib import Path
from typing import Any

import ray
from ray import tune

from vae_search.data.task import TrainingTask
from vae_search.search.orders import TrialOrder, TrialReport, WorkerBrief
from vae_search.store.commit import open_store

REPORT = "report"
"""The one key of a result: a TrialReport is no dict, so Tune hands it on as it is instead of flattening it."""

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Worker(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """Trains the orders that come as Tune configs; each step is one epoch.

    Nothing in `reset_config` may fail: a reset that fails leaks a slot of Tune's. Whatever can go wrong does so in
    `step`.
    """

    def setup(self, config: dict[str, Any], brief: WorkerBrief, task: TrainingTask) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        node_id = ray.get_runtime_context().get_node_id()
        if brief.log_folder is not None:
            _log_to(Path(brief.log_folder) / f"worker-{node_id[:8]}-{os.getpid()}.log")
        # TensorFlow is imported here and not above: the driver imports this module, and must stay light.
        from vae_search.search.trial_runner import TrialRunner

        self._runner = TrialRunner(brief, task, open_store(brief.store), node_id=node_id)
        self._runner.begin(TrialOrder(**config))

    def step(self) -> dict[str, TrialReport | bool]:
        report = self._runner.step()
        return {REPORT: report}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._runner.begin(TrialOrder(**new_config))
        return True


def _log_to(path: Path) -> None:
    """Send this process's log to a file of its own; a folder that cannot be written must not stop a trial."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path)
    except OSError as error:
        logging.getLogger(__name__).warning("no log file: %s", error)
        return
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger().addHandler(handler)
    logging.getLogger("vae_search").setLevel(logging.INFO)
