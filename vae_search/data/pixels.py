"""What may be known of a data set's pixels before any model is trained."""

from dataclasses import dataclass

import numpy as np

from vae_search.data.checks import Images, blocks

BINARY = 2
"""`levels` of pixels that are 0 or 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelStatistics:
    """Of the training images; held-out ones have no part in it.

    Args:
        levels: scored pixels are whole numbers 0 … levels - 1: 2 for binarised images, 256 for 8-bit ones. Networks see
            them divided by levels - 1.
        mean: (height, width, channels) float32, mean intensity of each pixel, in [0, 1].
        variance: (height, width, channels) float32, of the intensity of each pixel.
    """

    levels: int
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, train: Images, *, levels: int) -> "PixelStatistics":
        """Of training images, (count, height, width, channels)."""
        mean = train.pixels.mean(axis=0, dtype=np.float64) / train.scale
        # In blocks: the squares of a data set of bytes would take eight times its memory.
        squares = sum(np.square(block / train.scale - mean).sum(axis=0) for block in blocks(train.pixels))
        variance = np.asarray(squares) / len(train)
        return cls(levels=levels, mean=mean.astype(np.float32), variance=variance.astype(np.float32))


def intensities(pixels: np.ndarray, levels: int) -> np.ndarray:
    """Scored pixels as networks and eyes see them: uint8 in 0 … levels - 1 -> float32 in [0, 1], the same shape."""
    return pixels.astype(np.float32) / np.float32(levels - 1)
