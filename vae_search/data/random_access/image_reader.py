"""Random access to the images of a source: a range of them at a time, so that no more than a range is in memory."""

import math
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

BLOCK_BYTES = 2**24  # of pixels that are decoded at once


@runtime_checkable
class ImageReader(Protocol):
    """Images of one part of a source in a fixed order, decoded when they are asked for.

    To make one must be cheap: headers are read, pixels are not. Whatever is wrong with a file may show when it is read.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(count, height, width) or (count, height, width, channels)"""

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels: booleans, whole numbers or floats, as `check_images` understands them."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Decode the images start … stop - 1: (stop - start, *shape[1:]) of `dtype`.

        Raises:
            BadData: One of them is damaged, or is not what the others are.
        """


class ArrayReader:
    """Random access to an array: one in memory, or a memory map of a file."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._array[start:stop]


def as_reader(images: np.ndarray | ImageReader) -> ImageReader:
    """Random access to images, whether they are in memory or not."""
    return ArrayReader(images) if isinstance(images, np.ndarray) else images


def size_bytes(images: np.ndarray | ImageReader) -> int:
    """Bytes that all of them take once they are decoded."""
    return math.prod(images.shape) * images.dtype.itemsize


def read_all(images: np.ndarray | ImageReader) -> np.ndarray:
    """All of the images, in memory."""
    if isinstance(images, np.memmap):
        return np.array(images)
    return images if isinstance(images, np.ndarray) else np.asarray(images.read(0, images.shape[0]))


def decoded_blocks(images: np.ndarray | ImageReader) -> Iterator[np.ndarray]:
    """All of the images in their order, some at a time, each decoded once."""
    reader, count = as_reader(images), images.shape[0]
    rows = max(1, BLOCK_BYTES // max(1, size_bytes(images) // max(1, count)))
    for start in range(0, count, rows):
        yield reader.read(start, min(count, start + rows))
