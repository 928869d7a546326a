"""Images in a file of raw pixels that is mapped into memory: all processes of a node share its pages."""

import math
import mmap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

PAGE_BYTES = mmap.PAGESIZE
Keep = Callable[[Iterable[np.ndarray], tuple[int, ...], np.dtype], np.ndarray]
"""Puts consecutive parts of an array of this shape and type where there is room for all of it"""


class PixelArray(Protocol):
    """Pixels (count, height, width, channels) that are indexed as an array is: an array, or `MappedImages`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class MappedImages:
    """Images of a mapped file, or of chosen positions in it, read when they are asked for.

    What is asked for, by a slice or by positions, is an array. The file is named to the system as one that is read
    here and there, and each range a moment before it is read: so that no more is read than that, and all ranges of
    many images at once.

    Args:
        file: (count, height, width, channels), backed by `pages`.
        positions: (n,) int64 of the images in the file, in the order that they have here; None: as they lie there.
        threshold: images are 1 where a pixel is above it, else 0; None: as they are.
    """

    def __init__(
        self,
        file: np.ndarray,
        pages: mmap.mmap,
        *,
        positions: np.ndarray | None = None,
        threshold: float | None = None,
    ) -> None:
        self._file = file
        self._pages = pages
        self._positions = positions
        self._threshold = threshold

    @classmethod
    def open(cls, path: Path, shape: Sequence[int], dtype: np.dtype) -> "MappedImages":
        """Map a file that holds exactly these images.

        Raises:
            OSError: It cannot be read.
            ValueError: It has another size.
        """
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        pages.madvise(mmap.MADV_RANDOM)
        if len(pages) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{path}: must hold {tuple(shape)} {dtype}, but has {len(pages):,} bytes")
        return cls(np.frombuffer(pages, dtype).reshape(shape), pages)

    @property
    def shape(self) -> tuple[int, ...]:
        """(count, height, width, channels)"""
        return (len(self), *self._file.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels as they are asked for."""
        return self._file.dtype if self._threshold is None else np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._file) if self._positions is None else len(self._positions)

    def __getitem__(self, key: Any, /) -> np.ndarray:
        if isinstance(key, slice) and self._positions is None:
            start, stop, step = key.indices(len(self._file))
            self._read_ahead([start], max(0, stop - start))
            found = self._file[start:stop:step]
        elif isinstance(key, int | np.integer):
            first: np.ndarray = self[np.asarray([key])][0]
            return first
        else:
            chosen = np.arange(len(self))[key] if self._positions is None else self._positions[key]
            self._read_ahead(chosen, 1)
            found = self._file.take(chosen, axis=0)
        return found if self._threshold is None else (found > self._threshold).astype(np.uint8)

    def chosen(self, positions: np.ndarray) -> "MappedImages":
        """The images at these positions, in this order; none of them is read yet."""
        inside = positions if self._positions is None else self._positions[positions]
        return MappedImages(self._file, self._pages, positions=inside, threshold=self._threshold)

    def above(self, threshold: float) -> "MappedImages":
        """The images with 1 where a pixel is above the threshold, else 0."""
        return MappedImages(self._file, self._pages, positions=self._positions, threshold=threshold)

    def _read_ahead(self, starts: Iterable[int], count: int) -> None:
        """Have the system read `count` images from each of `starts` on, all at once and without waiting for them."""
        image_bytes = self._file.strides[0]
        for start in starts:
            first = int(start) * image_bytes
            begin = first - first % PAGE_BYTES
            if count:
                self._pages.madvise(mmap.MADV_WILLNEED, begin, first + count * image_bytes - begin)


def chosen(pixels: PixelArray, positions: np.ndarray) -> PixelArray:
    """The images at these positions, in this order: read now from an array, and later from a file."""
    if isinstance(pixels, MappedImages):
        return pixels.chosen(positions)
    array: np.ndarray = pixels[positions]
    return array


def parted(pixels: PixelArray, start: int, stop: int) -> PixelArray:
    """The images start … stop - 1, without reading or copying them."""
    if isinstance(pixels, MappedImages):
        return pixels.chosen(np.arange(start, stop))
    array: np.ndarray = pixels[start:stop]
    return array


def resident_bytes(pixels: PixelArray) -> int:
    """Bytes of memory that the images take in a process that holds them: none for those that stay in a file."""
    return 0 if isinstance(pixels, MappedImages) else pixels.nbytes


def in_memory(blocks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of consecutive parts; a `Keep`."""
    array = np.empty(shape, dtype)
    start = 0
    for block in blocks:
        array[start : start + len(block)] = block
        start += len(block)
    return array
