"""Pixel statistics of a data set's training images."""

from dataclasses import dataclass

import numpy as np

from vae_search.data.image_checks import Images, blocks

BINARY = 2
"""`levels` of pixels that are 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelStatistics:
    """Pixel statistics of the training images; held-out ones have no part in it.

    Args:
        levels: scored pixels are whole numbers 0 … levels - 1: 2 for binarised images, 256 for 8-bit ones. Networks see
            them divided by levels - 1.
        mean: (height, width, channels) float32, mean intensity of each value, in [0, 1].
        variance: (height, width, channels) float32, of the intensity of each value.
        lowest: (height, width, channels) float32, in how many of the images a value is 0: a share in (0, 1), half an
            image being added to those in which it is and to those in which it is not.
        highest: the same of 1.
    """

    levels: int
    mean: np.ndarray
    variance: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(cls, train: Images, *, levels: int) -> "PixelStatistics":
        """Statistics of training images, (count, height, width, channels)."""
        count, shape = len(train), train.pixels.shape[1:]
        total = np.zeros(shape)
        for block in blocks(train.pixels):
            if block.dtype == np.uint8:
                total += block.sum(axis=0)  # exact, in whatever order
                continue
            for image in block:  # one after another, as NumPy adds up a whole array along its first axis
                total += image
        mean = total / count / train.scale
        squares, lowest, highest = np.zeros(shape), np.full(shape, 0.5), np.full(shape, 0.5)
        for block in blocks(train.pixels):  # the squares of a data set of bytes would take eight times its memory
            squares += np.square(block / train.scale - mean).sum(axis=0)
            lowest += (block <= 0).sum(axis=0)
            highest += (block >= train.scale).sum(axis=0)
        return cls(
            levels=levels,
            mean=mean.astype(np.float32),
            variance=(squares / count).astype(np.float32),
            lowest=(lowest / (count + 1)).astype(np.float32),
            highest=(highest / (count + 1)).astype(np.float32),
        )

    def by_class(self, train: Images, labels: np.ndarray) -> "tuple[PixelStatistics, ...]":
        """Statistics of the training images of each class, each as if one more of them looked like all on average.

        A class of few images would else hold a value for impossible that only happened in none of them.

        Args:
            train: the images of these statistics.
            labels: (count,) of them, from 0 on.
        """
        found = []
        for number in range(int(labels.max()) + 1):
            own = np.flatnonzero(labels == number)
            few = PixelStatistics.of(train.chosen(own), levels=self.levels) if len(own) else self
            found.append(few._with_one_of(self, count=len(own)))
        return tuple(found)

    def _with_one_of(self, others: "PixelStatistics", *, count: int) -> "PixelStatistics":
        """Statistics of `count` images with these, and one with those of others."""

        def mixed(own: np.ndarray, other: np.ndarray) -> np.ndarray:
            both: np.ndarray = (count * own.astype(np.float64) + other) / (count + 1)
            return both

        mean = mixed(self.mean, others.mean)
        squares = mixed(*(of.variance + np.square(of.mean.astype(np.float64)) for of in (self, others)))
        return PixelStatistics(
            levels=self.levels,
            mean=mean.astype(np.float32),
            variance=np.maximum(squares - np.square(mean), 0.0).astype(np.float32),
            lowest=mixed(self.lowest, others.lowest).astype(np.float32),
            highest=mixed(self.highest, others.highest).astype(np.float32),
        )

    @property
    def pooled(self) -> "PixelStatistics":
        """Statistics of each channel, pooled over all positions of the image: (1, 1, channels)."""
        means, mean = self.mean.astype(np.float64), self.mean.mean(axis=(0, 1), dtype=np.float64, keepdims=True)
        variance = self.variance.mean(axis=(0, 1), dtype=np.float64, keepdims=True) + np.square(means - mean).mean(
            axis=(0, 1), keepdims=True
        )
        lowest, highest = (share.mean(axis=(0, 1), keepdims=True) for share in (self.lowest, self.highest))
        return PixelStatistics(
            levels=self.levels,
            mean=mean.astype(np.float32),
            variance=variance.astype(np.float32),
            lowest=lowest,
            highest=highest,
        )


def intensities(pixels: np.ndarray, levels: int) -> np.ndarray:
    """Scored pixels as intensities: uint8 in 0 … levels - 1 -> float32 in [0, 1], the same shape."""
    return pixels.astype(np.float32) / np.float32(levels - 1)
