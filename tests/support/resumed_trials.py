"""Trials of every setting that a training's bits may hang on, trained whole or from the bytes of a checkpoint."""

import importlib
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np

from tests.support.networks import digits_task
from tests.support.plugins import write
from vae_search.core.measurements import Scores
from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import JudgeTask, TaskLabels, TrainingTask
from vae_search.search.messages import MEASUREMENTS_FILE, STATE_FILE, TrialAssignment, TrialReport, WorkerConfig
from vae_search.search.worker.trial_runner import TrialRunner
from vae_search.spec.own_code.code_loading import look_in
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger import checkpoints
from vae_search.vae.inference.npz import arrays_of

EPOCHS = 4
WARMUP_EPOCHS = 3
"""longer than the first of a run that is halted after one epoch or two"""
SWITCH_EPOCH = 2
"""after which the bound of several draws is trained, and the learning rate of `wsd` falls"""
IMAGES, LEVELS, CLASSES = 400, 17, 3
FAMILIES = ("mlp", "pyramid", "conv", "resnet", "hvae", "rings", "keras")
PRIORS = ("standard", "mixture", "vamp")
DRAWS = (1, 3)
PRECISIONS = ("float32", "bfloat16")
LIKELIHOODS = ("bernoulli", "gaussian", "discretized_logistic")
SCHEDULES = ("constant", "cosine", "wsd")
SWEEP = "bits"
SPEC = f"""
name: {SWEEP}
data: {{source: digits}}
search_space: {{latent_dim: 4}}
budget: {{trials: 1, epochs: {EPOCHS}}}
pruning: off
ema_decay: 0.9
checkpoint_s: 0.000001
"""
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
class Case:
    """Settings of one trial."""

    family: str
    prior: str
    draws: int
    """of the bound that the epochs after `SWITCH_EPOCH` train"""
    precision: str
    likelihood: str
    schedule: str
    labels: bool
    mirrors: bool
    free_bits: bool
    clips: bool
    decays: bool

    @property
    def is_possible(self) -> bool:
        """False of settings that a spec is refused for."""
        own = self.family == "keras" and (self.prior != "standard" or self.precision == "bfloat16" or self.labels)
        levels = self.family == "hvae" and (self.prior == "vamp" or self.draws > 1)
        return not (own or levels or (self.prior == "vamp" and self.labels))

    @property
    def name(self) -> str:
        """All settings, for the test's name."""
        said = [str(getattr(self, field.name)) for field in fields(self)[:6]]
        return "-".join(said + [name for name in SWITCHES if getattr(self, name)])

    @property
    def params(self) -> dict[str, object]:
        """Parameters of the trial."""
        convolves, own = self.family in ("conv", "resnet"), self.family == "keras"
        found: dict[str, object] = {
            "architecture": "keras:resumed_nets:build" if own else self.family,
            "latent_dim": 4,
            "width": 4 if convolves else 12,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "kl_warmup_epochs": WARMUP_EPOCHS,
            "bound_samples": self.draws,
            "iwae_from": SWITCH_EPOCH / EPOCHS,
            "free_bits": 0.1 if self.free_bits else 0.0,
            "grad_clip": 0.7 if self.clips else 0.0,
            "weight_decay": 0.01 if self.decays else 0.0,
        }
        if not own:
            found |= {"prior": self.prior, "prior_components": 3, "depth": 1, "activation": "gated"}
        return found

    @property
    def spec(self) -> SweepSpec:
        """The sweep of the trial; what its parameters are the worker is told beside it."""
        binarize = "dynamic" if self.likelihood == "bernoulli" else "none"
        settings = {
            "data.binarize": binarize,
            "data.mirror": str(self.mirrors).lower(),
            "likelihood": self.likelihood,
            "lr_schedule": self.schedule,
            "precision": self.precision,
            "objective.bound": "iwae" if self.draws > 1 else "elbo",
        }
        return parse_spec(SPEC, base=Path(), overrides=[f"{key}={value}" for key, value in settings.items()])

    @property
    def assignment(self) -> TrialAssignment:
        """The trial; of `wsd`, which decays in confirm runs alone, such a run."""
        confirms = self.schedule == "wsd"
        return TrialAssignment(
            trial=0,
            params=self.params,  # type: ignore[arg-type]
            seed=7,
            confirm_seed=1 if confirms else None,
            epochs=EPOCHS if confirms else None,
            decay_epochs=EPOCHS - SWITCH_EPOCH if confirms else None,
        )


SWITCHES = ("labels", "mirrors", "free_bits", "clips", "decays")
SETTINGS: Mapping[str, Sequence[object]] = {
    "family": FAMILIES,
    "prior": PRIORS,
    "draws": DRAWS,
    "precision": PRECISIONS,
    "likelihood": LIKELIHOODS,
    "schedule": SCHEDULES,
    **dict.fromkeys(SWITCHES, (False, True)),
}
TOGETHER = ("prior", "draws", "precision")
MANY = 2000


def crossed() -> list[Case]:
    """Each family with each prior, bound and precision that it may have; other settings by lot.

    Then further ones, until every two settings meet that may.
    """
    lot, found = random.Random(20), list[Case]()
    for family, prior, draws, precision in product(FAMILIES, PRIORS, DRAWS, PRECISIONS):
        drawn = _drawn(lot, family=family, prior=prior, draws=draws, precision=precision)
        found += [case for case in (drawn, replace(drawn, labels=False)) if case.is_possible][:1]
    others = [case for case in (_drawn(lot) for _ in range(MANY)) if case.is_possible]
    missing = set[object]().union(*map(pairs, others)) - set[object]().union(*map(pairs, found))
    while missing:
        found.append(max(others, key=lambda case: len(pairs(case) & missing)))
        missing -= pairs(found[-1])
    return found


def _drawn(lot: random.Random, **given: object) -> Case:
    by_lot = {name: lot.choice(values) for name, values in SETTINGS.items()}
    return Case(**(by_lot | given))  # type: ignore[arg-type]


def pairs(case: Case, names: Sequence[str] | None = None) -> set[tuple[tuple[str, object], tuple[str, object]]]:
    """Every two settings of a case."""
    chosen = names or [field.name for field in fields(case)]
    return {*combinations([(name, getattr(case, name)) for name in chosen], 2)}


def few(cases: Sequence[Case]) -> list[Case]:
    """Cases in which each setting occurs, and every two of prior, bound and precision: the most telling one first."""

    def told(case: Case) -> set[object]:
        return {*pairs(case, TOGETHER), *((field.name, getattr(case, field.name)) for field in fields(case))}

    missing, chosen = set[object]().union(*map(told, cases)), list[Case]()
    while missing:
        chosen.append(max(cases, key=lambda case: len(told(case) & missing)))
        missing -= told(chosen[-1])
    return chosen


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
