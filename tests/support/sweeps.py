"""Small sweeps without Ray: the coordinator's decisions, carried out in this process by a real worker's loop."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.messages import TrialAssignment, TrialReport, WorkerConfig
from vae_search.search.planning.plan_record import SweepPlan
from vae_search.search.running_trial import SweepContext
from vae_search.search.worker.inline import train_trials
from vae_search.search.worker.trial_runner import TrialRunner
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.store.backends.base import Store
from vae_search.store.leases.lease import Lease, acquire
from vae_search.store.ledger.rows import TrialRow

SPEC = """
name: small
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 6}
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
  depth: 1
  width: 16
  batch_size: 64
budget: {trials: 7, epochs: 6}
pruning: {min_epochs: 2, reduction_factor: 2}
keep: 2
checkpoint_s: 1000
confirm: {finalists: 0}
"""


def small_spec(*overrides: str) -> SweepSpec:
    return parse_spec(SPEC, base=Path(), overrides=overrides)


def digits_task() -> TrainingTask:
    images = load_digits().images.astype(np.uint8)[..., None]
    select = np.random.default_rng(0).random(images[1280:].shape) < images[1280:] / 16.0
    return TrainingTask(
        train=images[:640],
        select=select[:200].astype(np.uint8),
        scale=16.0,
        dynamic=True,
        floor=10.0,
        pixels=PixelStatistics.of(Images(pixels=images[:640], scale=16.0), levels=2),
    )


def digits_judge_task(task: TrainingTask) -> JudgeTask:
    images = load_digits().images.astype(np.uint8)[1480:1600, ..., None]
    drawn = np.random.default_rng(1).random(images.shape) < images / 16.0
    return JudgeTask(images=drawn.astype(np.uint8), pixels=task.pixels)


@dataclass
class Session:
    """One driver with one in-process worker."""

    spec: SweepSpec
    store: Store
    lease: Lease
    coordinator: SweepCoordinator
    runner: TrialRunner
    landed: list[TrialRow]
    training: list[bool]
    """what the clock of the time budget was told"""

    def run(self, *, until: Callable[[TrialReport], bool] = lambda report: False) -> None:
        """Train until the driver has no more orders, or until a report makes `until` true (the driver then 'dies')."""
        for report in train_trials(self.coordinator, self.runner):
            if until(report):
                return

    def start(self) -> TrialAssignment:
        assignment = self.coordinator.next_assignment()
        self.coordinator.started(assignment.key)
        self.runner.begin(assignment)
        return assignment


class Sessions:
    """Drivers on one store, one after another, as new processes would be."""

    def __init__(self, store: Store, task: TrainingTask, judge_task: JudgeTask) -> None:
        self._store, self._task, self._judge_task = store, task, judge_task
        self._leases: list[Lease] = []

    def open(
        self,
        *overrides: str,
        seconds_left: Callable[[], float] = lambda: math.inf,
        writers: int = 0,
        slots: int = 1,
        plan: SweepPlan | None = None,
    ) -> Session:
        """A new driver; the one before it is over.

        Args:
            slots: that the driver believes to have; there is one worker in any case.
            plan: of the sweep's record.
        """
        self.close()
        spec, store = small_spec(*overrides), self._store
        lease = acquire(store, spec.name)
        self._leases.append(lease)
        landed: list[TrialRow] = []
        training: list[bool] = []
        coordinator = SweepCoordinator(
            SweepContext(
                spec=spec, lease=lease.number, comparability_key="k" * 64, versions={"vae-search": "0"}, plan=plan
            ),
            store=store,
            lease=lease,
            now=lambda: datetime.now(UTC),
            seconds_left=seconds_left,
            slots=lambda: slots,
            on_trial_finished=lambda row, verdict: landed.append(row),
            writers=writers,
            on_training=training.append,
        )
        config = WorkerConfig(
            spec=spec, store=store.location, lease=lease.number, rungs=coordinator.rungs, log_folder=None
        )
        runner = TrialRunner(config, self._task, self._judge_task, store, node_id="here")
        return Session(
            spec=spec,
            store=store,
            lease=lease,
            coordinator=coordinator,
            runner=runner,
            landed=landed,
            training=training,
        )

    def close(self) -> None:
        for lease in self._leases:
            lease.release()
