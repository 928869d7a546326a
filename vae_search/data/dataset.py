"""A data set ready to search on: read, checked, split, binarised, and identified."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.text import printable
from vae_search.data.binarization import BINARISATION_SEED, above_half, bernoulli_entropy, draw_evaluation_sets
from vae_search.data.duplicates import count_duplicates
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.image_checks import Images, blocks, extremes, grey_levels
from vae_search.data.labelling.part_labels import PartLabels, labels_by_part, labels_of
from vae_search.data.pixel_statistics import BINARY, PixelStatistics
from vae_search.data.random_access.identity import fingerprint
from vae_search.data.random_access.kept_measures import TEST, VALIDATION, Measures, measures
from vae_search.data.random_access.mapped_images import Keep, MappedImages, PixelArray, parted
from vae_search.data.sources import Source, read_source
from vae_search.data.splits import LEAST_PART, Split, split_images
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec

LEAST_SPLIT = 6 * 2 * LEAST_PART  # images of which a sixth is enough to validate with
LEAST_SCORED = 2
CONDITIONAL = "Models see the label of each image, and are scored by -log p(image | label)."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """The four parts of a data set. Shapes: (count, height, width, channels); arrays, or in files of the cache.

    Args:
        source: as the spec gives it.
        scale: intensity of a training pixel = train / scale, in [0, 1].
        binarize: `dynamic` (train is grey, and drawn anew by whoever trains), `threshold` (train is 0/1) or `none` (all
            pixels are whole numbers 0 … scale).
        train: uint8, or float32 if it is dynamic.
        select: uint8 in 0 … pixels.levels - 1, as are judge and test. Trials are scored on it.
        judge: finalists are judged on it.
        test: read only when a candidate has passed every gate (invariant I9).
        split: SHA-256 of which image is in which part.
        fingerprint: SHA-256 of the decoded images, before they were split.
        floor: nats per image that no model can go below on select and judge together: the mean entropy of their
            binarisation; 0 for pixels that are given, which a model might know for certain.
        pixels: of the training images.
        labels: (count,) int64 of the images of each of `PARTS` whose source has some. They are part of the
            task's identity only where models are conditioned on them.
        shown_labels: of all parts, that a conditional model sees; None for any other.
        class_pixels: of the training images of each class that such a model sees.
        summary: of the images as they were read, for people; no part of the task's identity either.
        moved_draw: the test images' binarisation is not the published one, although the source has one: it follows
            that of the validation images in one stream, and these are not as many as the protocol's.
        folders: of the cache, that the images are in; none if they are in memory.
        validation_is_open: another number of validation images may be asked for.
    """

    source: str
    scale: float
    binarize: str
    train: PixelArray
    select: PixelArray
    judge: PixelArray
    test: PixelArray
    split: str
    fingerprint: str
    floor: float
    pixels: PixelStatistics
    labels: Mapping[str, np.ndarray]
    summary: DatasetSummary
    moved_draw: bool = False
    folders: tuple[Path, ...] = ()
    validation_is_open: bool = True
    shown_labels: PartLabels | None = None
    class_pixels: tuple[PixelStatistics, ...] = ()

    @property
    def train_labels(self) -> np.ndarray | None:
        """Labels of the training images, if the source has some."""
        return self.labels.get("train")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)"""
        height, width, channels = self.train.shape[1:]
        return height, width, channels

    @property
    def is_mapped(self) -> bool:
        """True if the images do not fit in memory and stay in files of this node's cache."""
        return isinstance(self.train, MappedImages)


def load_dataset(spec: DataSpec, *, cache: Path, held_bytes: int | None = None) -> Dataset:
    """Read, check, split and binarise the images that a spec asks for.

    Args:
        cache, held_bytes: see `read_source`.

    Raises:
        BadData: The images cannot be had, or cannot be used as they are.
    """
    choices = Choices.of(spec)
    return split_dataset(read_source(spec.source, cache=cache, choices=choices, held_bytes=held_bytes), spec)


def split_dataset(source: Source, spec: DataSpec) -> Dataset:
    """Split and binarise checked images as a spec asks for.

    Args:
        source: the images that the spec names.

    Raises:
        BadData: They cannot be used so.
    """
    where = printable(spec.source, 400)
    images, own_test = source.train, source.test
    split = _split(source, spec, where)
    labels = labels_by_part(source, split, with_more=spec.condition is not None, beside=spec.array is None)
    told = None if spec.condition is None else PartLabels.of(labels, where=where, names=source.class_names)
    train, validation = images.chosen(split.train), images.chosen(split.validation)
    test = images.chosen(split.test) if split.test is not None else own_test
    if test is None:
        raise ValueError("a split without test images needs a source that has some")
    levels = BINARY
    if spec.binarize == "threshold":
        train = Images(pixels=above_half(train), scale=1.0)
    elif spec.binarize == "none":
        levels = grey_levels(*(part for part in (images, own_test) if part is not None), where=where)

    def measure(keeps: Mapping[str, Keep]) -> Measures:
        statistics, summary = PixelStatistics.of(train, levels=levels), _summary(source, split)
        if spec.binarize != "dynamic":
            return Measures(pixels=statistics, summary=summary)
        floor = float(bernoulli_entropy(validation).mean())
        drawn = draw_evaluation_sets(validation, test, keep_validation=keeps[VALIDATION], keep_test=keeps[TEST])
        return Measures(
            pixels=statistics, summary=summary, floor=floor, drawn=dict(zip((VALIDATION, TEST), drawn, strict=True))
        )

    task = [split.sha256, spec.binarize, BINARISATION_SEED]
    found = measures(measure, folder=source.folder, task=task, where=where)
    if found.summary is None:
        raise ValueError("a summary is made of every data set that is split")
    match spec.binarize:
        case "dynamic":
            scored_validation, scored_test = found.drawn[VALIDATION], found.drawn[TEST]
        case "threshold":
            scored_validation, scored_test = above_half(validation), above_half(test)
        case "none":
            scored_validation, scored_test = validation.pixels, test.pixels
    return Dataset(
        source=spec.source,
        scale=train.scale,
        binarize=spec.binarize,
        train=train.pixels,
        select=parted(scored_validation, 0, len(split.select)),
        judge=parted(scored_validation, len(split.select), len(split.validation)),
        test=scored_test,
        split=split.sha256,
        fingerprint=source.decoded_as or fingerprint(images, own_test),
        floor=found.floor,
        labels=labels,
        shown_labels=told,
        class_pixels=() if told is None else found.pixels.by_class(train, told.parts["train"]),
        pixels=found.pixels,
        summary=found.summary
        if told is None
        else replace(found.summary, notes=(*source.notes, CONDITIONAL), classes=told.known),
        folders=tuple(folder for folder in (source.folder, found.folder) if folder is not None),
        validation_is_open=source.protocol is None or source.protocol.validation_is_open,
        moved_draw=spec.binarize == "dynamic"
        and source.protocol is not None
        and source.protocol.test is None  # the test images have been published apart
        and len(split.validation) != source.protocol.validation,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewImages:
    """Images to score a finished model on.

    Args:
        pixels: (count, height, width, channels) uint8 in 0 … levels - 1.
        statistics: of what their source has to train on.
        labels: (count,) int64; None if the source has none.
        class_names: of those labels, by number; empty if the source names none.
    """

    pixels: PixelArray
    statistics: PixelStatistics
    labels: np.ndarray | None
    class_names: tuple[str, ...] = ()


def load_new_images(
    source: str, *, binarize: str, cache: Path, choices: Choices = NONE, with_labels: bool = False
) -> NewImages:
    """Images to score a finished model on: all of a source, or its test images if it says which those are.

    Args:
        binarize: as the model's images were.
        cache: the folder for downloads.
        choices: as of the model's images, such as their size.
        with_labels: for a conditional model, so that labels that only such a one needs are read too.

    Raises:
        BadData: The images cannot be had, or cannot be used as they are.
    """
    where = printable(source, 400)
    found = read_source(source, cache=cache, choices=choices)
    if with_labels:
        found = replace(found, labels={**found.labels, **found.read_more_labels()})
    images = found.train if found.test is None else found.test
    if binarize == "none" and (images.pixels.dtype != np.uint8 or images.scale <= 1):
        kind = "black and white" if images.pixels.dtype == np.uint8 else "floats in between"
        raise BadData(
            f"{where}: the model explains whole numbers, but these pixels are {kind}. Save them as uint8 in 0 … 255."
        )
    can_be_split = found.test is not None and len(found.test) >= LEAST_PART and len(found.train) >= LEAST_SPLIT
    if found.protocol is not None or can_be_split:
        new = split_dataset(found, DataSpec.model_validate({"source": source, "binarize": binarize}))
        labels, names = new.labels.get("test"), found.class_names
        return NewImages(pixels=new.test, statistics=new.pixels, labels=labels, class_names=names)
    if len(images) < LEAST_SCORED:
        raise BadData(f"{where}: at least {LEAST_SCORED} images are needed for a mean and its error, but there is one.")
    scored = Images(pixels=above_half(images), scale=1.0) if binarize == "threshold" else images
    levels = grey_levels(images, where=where) if binarize == "none" else BINARY

    def measure(keeps: Mapping[str, Keep]) -> Measures:
        statistics = PixelStatistics.of(images, levels=levels)
        if binarize != "dynamic":
            return Measures(pixels=statistics)
        _, drawn = draw_evaluation_sets(images.chosen(np.arange(0)), images, keep_test=keeps[TEST])
        return Measures(pixels=statistics, drawn={TEST: drawn})

    task = ["all", found.test is not None, binarize, BINARISATION_SEED]
    measured = measures(measure, folder=found.folder, task=task, where=where)
    role: Literal["train", "test"] = "train" if found.test is None else "test"
    return NewImages(
        pixels=measured.drawn.get(TEST, scored.pixels),
        statistics=measured.pixels,
        labels=labels_of(found, role, len(images)),
        class_names=found.class_names,
    )


def _summary(source: Source, split: Split) -> DatasetSummary:
    parts = [part for part in (source.train, source.test) if part is not None]
    height, width, channels = source.train.pixels.shape[1:]
    test = split.test if source.test is None else source.test
    found = count_duplicates(source.train, source.test, split)
    return DatasetSummary(
        height=height,
        width=width,
        channels=channels,
        white=source.train.scale,
        range=(
            min(extremes(part.pixels)[0] / part.scale for part in parts),
            max(extremes(part.pixels)[1] / part.scale for part in parts),
        ),
        is_binary=all(_is_binary(part) for part in parts),
        is_coloured=any(_is_coloured(part) for part in parts),
        parts={
            "train": len(split.train),
            "select": len(split.select),
            "judge": len(split.judge),
            "test": 0 if test is None else len(test),
        },
        has_own_test=source.test is not None,
        copies=found.copies,
        in_train=found.in_train,
        notes=source.notes,
        scaling=source.scaling,
    )


def _is_binary(images: Images) -> bool:
    return all(bool(((block == 0) | (block == images.scale)).all()) for block in blocks(images.pixels))


def _is_coloured(images: Images) -> bool:
    if images.pixels.shape[3] == 1:
        return False
    return any(bool((block != block[..., :1]).any()) for block in blocks(images.pixels))


def _split(source: Source, spec: DataSpec, where: str) -> Split:
    return split_images(
        len(source.train),
        own_test=None if source.test is None else len(source.test),
        protocol=source.protocol,
        validation=spec.validation,
        test=spec.test,
        where=where,
    )
