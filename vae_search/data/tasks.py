"""Tasks: the images of a data set that a worker may train on and be scored on, and no others."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vae_search.core.dataset_summary import Classes
from vae_search.data.dataset import Dataset
from vae_search.data.labelling.part_labels import PartLabels
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.random_access.mapped_images import PixelArray, resident_bytes

ImageShape = tuple[int, int, int]
"""(height, width, channels)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskLabels:
    """Labels of the images of a conditional task, whole numbers from 0 on.

    Args:
        train, select: (n,) and (m,) int64.
        classes: one more than the greatest label of any part.
        known: the classes with their names, for the description of a model; None if they are not known.
    """

    train: np.ndarray
    select: np.ndarray
    classes: int
    known: Classes | None = None

    @classmethod
    def of(cls, labels: PartLabels) -> "TaskLabels":
        """Those that a search may use."""
        parts = labels.parts
        return cls(train=parts["train"], select=parts["select"], classes=labels.classes, known=labels.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTask:
    """Images that every trial of a sweep trains and is scored on: plain arrays, which travel without TensorFlow, or in
    files of the cache.

    Args:
        train: (n, height, width, channels); intensity = train / scale in [0, 1].
        select: (m, height, width, channels) uint8 in 0 … pixels.levels - 1, the images that trials are scored on.
        dynamic: draw each training pixel anew from Bernoulli(intensity) at every visit; else `train` is what the
            likelihood explains, as `select` is.
        floor: nats per image that no model can go below on held-out images (the entropy of their binarisation).
        pixels: of the training images.
        labels: of both, that a conditional model sees; None if the task is not conditional.
        measured_labels: (m,) of the select images whether or not models see them, for measures; None if there are none.
        class_pixels: of the training images of each class, of a conditional task.
    """

    train: PixelArray
    select: PixelArray
    scale: float
    dynamic: bool
    floor: float
    pixels: PixelStatistics
    labels: TaskLabels | None = None
    measured_labels: np.ndarray | None = None
    class_pixels: tuple[PixelStatistics, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> "TrainingTask":
        """The part of `dataset` that a search may use: judge and test images stay behind (invariant I9)."""
        return cls(
            train=dataset.train,
            select=dataset.select,
            scale=dataset.scale,
            dynamic=dataset.binarize == "dynamic",
            floor=dataset.floor,
            pixels=dataset.pixels,
            labels=None if (shown := dataset.shown_labels) is None else TaskLabels.of(shown),
            measured_labels=dataset.labels.get("select"),
            class_pixels=dataset.class_pixels,
        )

    @property
    def select_labels(self) -> np.ndarray | None:
        """(m,) of the select images, of a conditional task."""
        return None if self.labels is None else self.labels.select

    @property
    def classes(self) -> int:
        """Of the labels that a conditional model sees; 0 if the task is not conditional."""
        return 0 if self.labels is None else self.labels.classes

    @property
    def known_classes(self) -> Classes | None:
        """Those with their names; None if the task is not conditional."""
        return None if self.labels is None else self.labels.known

    @property
    def image_shape(self) -> ImageShape:
        height, width, channels = self.train.shape[1:]
        return height, width, channels

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the images take in each process: none if they stay in files."""
        return resident_bytes(self.train) + resident_bytes(self.select)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgeTask:
    """Images that models are judged on. Only confirm runs, gates and evaluations get them, never a search.

    Args:
        images: (n, height, width, channels) uint8 in 0 … pixels.levels - 1.
        pixels: of the training images.
        train_labels: (count of training images,) int64, for what samples are compared in; None if there are none.
        labels: (n,) of the images, that a conditional model sees; None if the task is not conditional.
        measured_labels: (n,) whether or not models see them, for measures; None if there are none.
        class_pixels: of the training images of each class, of a conditional task.
    """

    images: PixelArray
    pixels: PixelStatistics
    train_labels: np.ndarray | None = None
    labels: np.ndarray | None = None
    measured_labels: np.ndarray | None = None
    class_pixels: tuple[PixelStatistics, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> "JudgeTask":
        """The part of `dataset` that judges finalists (invariant I9)."""
        shown = dataset.shown_labels
        return cls(
            images=dataset.judge,
            pixels=dataset.pixels,
            train_labels=dataset.train_labels,
            labels=None if shown is None else shown.parts["judge"],
            measured_labels=dataset.labels.get("judge"),
            class_pixels=dataset.class_pixels,
        )

    def first(self, count: int) -> "JudgeTask":
        """The first images alone, with what belongs to them."""
        labels, measured = (None if each is None else each[:count] for each in (self.labels, self.measured_labels))
        return replace(self, images=self.images[:count], labels=labels, measured_labels=measured)

    @classmethod
    def of_test(cls, dataset: Dataset) -> "JudgeTask":
        """The test images, for a candidate that has passed every gate, or a version that somebody evaluates."""
        shown = dataset.shown_labels
        labels = None if shown is None else shown.parts["test"]
        return cls(images=dataset.test, pixels=dataset.pixels, labels=labels, class_pixels=dataset.class_pixels)


Tasks = Callable[[], tuple[TrainingTask, JudgeTask]]
"""Tasks of a sweep, for a worker to ask for where it runs"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTasks:
    """Tasks whose images travel to the workers: Ray keeps one copy of their arrays on a node."""

    task: TrainingTask
    judge_task: JudgeTask

    def __call__(self) -> tuple[TrainingTask, JudgeTask]:
        return self.task, self.judge_task
