"""Measuring of a finished model by a spec's metrics: each gets the model and images, and its own fixed seeds."""

import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from numbers import Real
from typing import Any

import keras
import numpy as np

from vae_search.core.text import printable
from vae_search.data.pixel_statistics import intensities
from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.data.tasks import TrainingTask
from vae_search.errors import InvalidSpec
from vae_search.spec.measures.metrics import BUILT_IN, Metric, function_of
from vae_search.spec.own_code.code_loading import function_in
from vae_search.vae.inference.feature_space import FeatureSpace, feature_train_images, principal_components
from vae_search.vae.inference.model import Trained
from vae_search.vae.measuring.model_view import MeasuredModel
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.training.trainer import OUT_OF_MEMORY

logger = logging.getLogger(__name__)

METRIC_SEED = 783
MOST_TOLD = 200
NOT_IMPORTED = "Install what it needs where trials run. With other code, or without it, give the spec another name."


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Values of a model by column; None where a metric failed, and why."""

    values: Mapping[str, float | None]
    trouble: str | None


@dataclass(kw_only=True)
class MetricsEngine:
    """The metrics of a sweep, for one process; features of images are made once, when they are first asked for."""

    metrics: Sequence[Metric]
    task: TrainingTask
    _told: set[str] = field(default_factory=set)

    def import_all(self) -> None:
        """Import the functions before anything is trained, rather than when the first trial has ended.

        Raises:
            InvalidSpec: One cannot be imported here; another machine may have what it needs.
        """
        for metric in self.metrics:
            try:
                _function(metric)
            except InvalidSpec as error:
                first, *advice = str(error).splitlines()
                words = advice or [NOT_IMPORTED]
                raise InvalidSpec("\n".join([f"metrics: {first.removeprefix('metrics: ')}", *words])) from error

    def measure(
        self, trained: Trained, description: ModelDescription, images: PixelArray, labels: np.ndarray | None = None
    ) -> Measured:
        """Measure a model. Equal weights and images get equal values: all random streams start from the same seed.

        A metric that raises, or gives no finite number, is None: the training is good all the same.

        Args:
            images: (n, height, width, channels) uint8 in 0 … levels - 1.
            labels: (n,) int64; None where the images have none.
        """
        ours = MeasuredModel(description, trained, space=lambda: self._space)
        shown = intensities(np.asarray(images[: len(images)]), description.levels)
        shown.setflags(write=False)  # of one metric, the next must not see what it did to the images
        values: dict[str, float | None] = {}
        troubles = []
        for metric in self.metrics:
            try:
                function = _function(metric)
                # What a function of somebody else does to its model must be in nobody's way, nor in the weights.
                model = ours if metric.function in BUILT_IN else self._model_of_its_own(trained, description)
                values[metric.column] = _value(function, model, shown, labels)
            except OUT_OF_MEMORY:
                raise  # of the process: the trial may have it elsewhere, and equal weights must get equal values
            except (Exception, SystemExit) as error:  # whatever a function of somebody else does
                values[metric.column] = None
                told = next(iter(f"{type(error).__name__}: {error}".splitlines()))
                troubles.append(f"{metric.column}: {printable(told, MOST_TOLD)}")
                if metric.column not in self._told:
                    self._told.add(metric.column)
                    logger.warning("%s could not be measured, and is NULL: %s", metric.column, told, exc_info=True)
        return Measured(values=values, trouble="\n".join(troubles) or None)

    def _model_of_its_own(self, trained: Trained, description: ModelDescription) -> MeasuredModel:
        if isinstance(trained, Mapping):
            trained = {name: np.array(array) for name, array in trained.items()}
        return MeasuredModel(description, trained, space=lambda: self._space)

    @cached_property
    def _space(self) -> FeatureSpace:
        return principal_components(feature_train_images(self.task), levels=self.task.pixels.levels)


def _value(function: Callable[..., Any], model: MeasuredModel, images: np.ndarray, labels: np.ndarray | None) -> float:
    """The function's value, with seeds of its own; the streams of others are left as they are.

    Raises:
        ValueError: It is no finite number.
    """
    random_before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - functions may use it
    try:
        keras.utils.set_random_seed(METRIC_SEED)
        found = function(model, images, labels)
    finally:
        random.setstate(random_before)
        np.random.set_state(numpy_before)  # noqa: NPY002
    if hasattr(found, "item") and getattr(found, "shape", None) == ():  # a scalar array
        found = found.item()
    if hasattr(found, "numpy"):  # a tensor
        found = found.numpy().item()
    if isinstance(found, bool) or not isinstance(found, Real) or not math.isfinite(found):
        raise ValueError(f"must give a finite number, but gave {found!r}")
    return float(found)


def _function(metric: Metric) -> Callable[..., Any]:
    """The function of a metric, imported.

    Raises:
        InvalidSpec: It cannot be.
    """
    module, _, name = function_of(metric).partition(":")
    found = getattr(import_module(module), name) if metric.function in BUILT_IN else function_in(module, name)
    if not callable(found):
        raise InvalidSpec(f"metrics: {metric.function}: must be a function of (model, images, labels).")
    return found
