"""Readers made of others: several one after another, and images that are changed when they are read."""

from collections.abc import Callable

import numpy as np

from vae_search.data.random_access.image_reader import ImageReader, as_reader


class JoinedReader:
    """Images of readers of one type and shape, one after another."""

    def __init__(self, *readers: ImageReader) -> None:
        self._readers = readers

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(reader.shape[0] for reader in self._readers), *self._readers[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self._readers[0].dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        found, first = [], 0
        for reader in self._readers:
            begin, end = max(start - first, 0), min(stop - first, reader.shape[0])
            if begin < end:
                found.append(reader.read(begin, end))
            first += reader.shape[0]
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), self.dtype)


class ChangedReader:
    """Images of another reader, each of which is changed by itself when it is read."""

    def __init__(self, reader: ImageReader, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Args:
        change: (count, …) -> (count, …), image by image; it also tells the shape and type.
        """
        self._reader, self._change = reader, change
        example = change(np.zeros((1, *reader.shape[1:]), reader.dtype))
        self._shape, self._dtype = example.shape[1:], example.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (self._reader.shape[0], *self._shape)

    @property
    def dtype(self) -> np.dtype:
        return self._dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._change(self._reader.read(start, stop))


def joined(first: np.ndarray | ImageReader, second: np.ndarray | ImageReader) -> np.ndarray | ImageReader:
    """Images one after another; in memory if both are."""
    if type(first) is np.ndarray and type(second) is np.ndarray:  # no memory map
        return np.concatenate([first, second])
    return JoinedReader(as_reader(first), as_reader(second))
