"""Trials of any settings, trained whole or from the bytes of a checkpoint."""

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.support.networks import digits_task
from tests.support.plugins import write
from tests.support.training_settings import EPOCHS, SWEEP, Case
from vae_search.core.measurements import Scores
from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import JudgeTask, TaskLabels, TrainingTask
from vae_search.search.messages import MEASUREMENTS_FILE, STATE_FILE, TrialReport, WorkerConfig
from vae_search.search.worker.trial_runner import TrialRunner
from vae_search.spec.own_code.code_loading import look_in
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger import checkpoints
from vae_search.vae.inference.npz import arrays_of

IMAGES, LEVELS, CLASSES = 400, 17, 3
KERAS_NET = """
import keras
from keras import layers

def build(image_shape, latent_dim, outputs_per_value, width=8):
    height, across, channels = image_shape
    images = keras.Input(image_shape)
    x = layers.Dense(width, "tanh")(layers.Flatten()(images))
    encoder = keras.Model(images, [layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)])
    latents = keras.Input((latent_dim,))
    x = layers.Dense(height * across * channels * outputs_per_value)(layers.Dense(width, "tanh")(latents))
    return encoder, keras.Model(latents, layers.Reshape((height, across, channels * outputs_per_value))(x))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A trial after its last epoch: everything that may not depend on an interruption."""

    state: Mapping[str, bytes]
    """weights, averages, the optimizer's moments and what picks the best epoch, by name"""
    files: Mapping[str, bytes]
    """of the artifact: the kept weights, the model's description, a confirm run's bounds of each image"""
    measurements: Sequence[Mapping[str, object]]
    """of each epoch, without clocks"""
    scores: Scores


def tasks_of(case: Case) -> tuple[TrainingTask, JudgeTask]:
    """Digits of 8×8: to train and select on, and few to judge by."""
    task = digits_task()
    images, select = task.train[:IMAGES], task.select[:100]
    if case.likelihood == "bernoulli":
        task = replace(task, train=images, select=select)
    else:
        pixels = PixelStatistics.of(Images(pixels=images, scale=LEVELS - 1.0), levels=LEVELS)
        grey = task.train[IMAGES : IMAGES + 100]
        task = replace(task, train=images, select=grey, dynamic=False, floor=0.0, pixels=pixels)
    judged = JudgeTask(images=task.select[:20], pixels=task.pixels)
    if case.labels:
        labels = [np.arange(len(each)) % CLASSES for each in (task.train, task.select)]
        of_class = tuple(
            PixelStatistics.of(
                Images(pixels=task.train[labels[0] == each], scale=LEVELS - 1.0), levels=task.pixels.levels
            )
            for each in range(CLASSES)
        )
        task = replace(
            task, labels=TaskLabels(train=labels[0], select=labels[1], classes=CLASSES), class_pixels=of_class
        )
        judged = replace(judged, labels=labels[1][:20], class_pixels=of_class)
    return task, judged


def write_own_code(folder: Path) -> None:
    """A package with a family, and a Keras network."""
    write(folder)
    (folder / "resumed_nets.py").write_text(KERAS_NET)


def find_own_code(folder: Path) -> None:
    """Let this process find what `write_own_code` wrote."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    look_in([folder])


class Training:
    """A trial that goes on from where the store has it, on a fresh engine, which has compiled nothing.

    Each epoch leaves a checkpoint. Left alone, it is as dead as its worker.
    """

    def __init__(self, case: Case, store: LocalStore) -> None:
        self._case, self._store = case, store
        config = WorkerConfig(spec=case.spec, store=store.location, lease=1, rungs=(), log_folder=None)
        self._runner = TrialRunner(config, *tasks_of(case), store, node_id="here", threads=1)
        self._runner.begin(case.assignment)

    def train_to(self, epoch: int) -> TrialReport:
        """Report of the step after which so many epochs are done."""
        while True:
            report = self._runner.step()
            if report.failure is not None:
                raise RuntimeError(report.failure.error)
            if report.epoch >= epoch:
                return report

    def end(self) -> Ended:
        """Train to the last epoch; what the store holds then."""
        report = self.train_to(EPOCHS)
        checkpoint = checkpoints.newest_intact(self._store, SWEEP, self._case.assignment.key)
        if checkpoint is None or report.scores is None or (checkpoint.epoch, report.epoch) != (EPOCHS, EPOCHS):
            raise RuntimeError(f"{self._case.name} has not come to its end")
        files = dict(checkpoint.files)
        state, measured = arrays_of(files.pop(STATE_FILE)), json.loads(files.pop(MEASUREMENTS_FILE))
        return Ended(
            state={name: array.tobytes() for name, array in state.items()},
            files=files,
            measurements=[
                {name: value for name, value in each.items() if not name.endswith("_s")} for each in measured
            ],
            scores=report.scores,
        )


def copy_checkpoint(case: Case, source: LocalStore, target: LocalStore) -> int:
    """Put the newest checkpoint of a trial into another store, byte by byte; its epoch."""
    key, found = case.assignment.key, checkpoints.newest_intact(source, SWEEP, case.assignment.key)
    if found is None:
        raise RuntimeError(f"{case.name} has left no checkpoint")
    checkpoints.save(target, SWEEP, key, lease=found.lease, epoch=found.epoch, files=found.files)
    return found.epoch


def ended_elsewhere(case: Case, folder: Path, own_code: Path) -> Ended:
    """Go on with a trial in the store of a folder; for a process of its own."""
    find_own_code(own_code)
    return Training(case, LocalStore(folder)).end()
