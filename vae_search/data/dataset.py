"""A data set ready for a sweep: checked, split, binarised, fingerprinted."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_search.data.binarize import BINARIZE_SEED, draw_once, entropy_floor, protocol_stream, threshold
from vae_search.data.checks import Images
from vae_search.data.sources import Source, read_source
from vae_search.data.splits import SPLIT_SEED, split
from vae_search.errors import BadData
from vae_search.spec import DataSpec

METRIC_VERSION = 1  # of how a score is computed; another version's scores cannot be compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The four splits. `train` keeps its grey pixels: training binarises anew at every visit, or they are 0/1 already.

    Args:
        train: (n, height, width, channels); intensity = train / scale in [0, 1].
        select, judge, test: (m, height, width, channels) uint8 in {0, 1}.
        fingerprint: SHA-256 of the decoded images, all of them.
        floor: nats per image that no model can go below on the validation images.
        train_mean: (height, width, channels) float32, mean intensity of the training images.
    """

    source: str
    scale: float
    binarize: str
    train: np.ndarray
    select: np.ndarray
    judge: np.ndarray
    test: np.ndarray
    fingerprint: str
    floor: float
    train_mean: np.ndarray

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)"""
        height, width, channels = self.train.shape[1:]
        return height, width, channels


def load_dataset(spec: DataSpec, *, cache: Path) -> Dataset:
    """Read, check and split the images of a spec.

    Raises:
        BadData: The images cannot be used as they are.
    """
    source = read_source(spec.source, cache=cache)
    if source.test is not None and spec.test is not None:
        raise BadData(
            f"data.test: {source.name} has a test split of its own ({len(source.test.pixels):,} images), so data.test "
            f"cannot be {spec.test}. Remove the key."
        )
    splits = split(
        len(source.train.pixels),
        validation=source.validation if spec.validation is None else spec.validation,
        test=source.test_count if spec.test is None else spec.test,
        has_own_test=source.test is not None,
        in_order=source.in_order,
        where=source.name,
    )
    pixels, scale = source.train.pixels, source.train.scale
    train = Images(pixels=pixels[splits.train], scale=scale)
    validation = Images(pixels=pixels[splits.validation], scale=scale)
    test = source.test if splits.test is None else Images(pixels=pixels[splits.test], scale=scale)
    if test is None:
        raise RuntimeError("a source without a test split must have been split into one")
    train_mean = (train.pixels.mean(axis=0, dtype=np.float64) / scale).astype(np.float32)
    if spec.binarize == "dynamic":
        stream = protocol_stream()
        drawn = draw_once(validation, stream)
        tested = draw_once(test, stream)
        floor = entropy_floor(validation)
    else:
        drawn, tested, floor = threshold(validation), threshold(test), 0.0
        train = Images(pixels=threshold(train), scale=1.0)
        train_mean = train.pixels.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Dataset(
        source=source.name,
        scale=train.scale,
        binarize=spec.binarize,
        train=train.pixels,
        select=drawn[: len(splits.select)],
        judge=drawn[len(splits.select) :],
        test=tested,
        fingerprint=_fingerprint(source),
        floor=floor,
        train_mean=train_mean,
    )


def comparability_key(dataset: Dataset, *, likelihood: str) -> str:
    """Values are compared only within one key: the same images, splits, binarisation, likelihood and metric."""
    task = {
        "fingerprint": dataset.fingerprint,
        "splits": [len(part) for part in (dataset.train, dataset.select, dataset.judge, dataset.test)],
        "seeds": [SPLIT_SEED, BINARIZE_SEED],
        "binarize": dataset.binarize,
        "likelihood": likelihood,
        "metric_version": METRIC_VERSION,
    }
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()


def _fingerprint(source: Source) -> str:
    digest = hashlib.sha256()
    for images in (source.train, source.test):
        if images is not None:
            digest.update(f"{images.pixels.dtype.str} {images.pixels.shape} {images.scale}".encode())
            digest.update(np.ascontiguousarray(images.pixels).data)
    return digest.hexdigest()
