"""Evaluation sets in black and white, drawn once and the same for ever."""

import numpy as np

from vae_search.data.checks import Images

BINARIZE_SEED = 777  # of the published protocol (Exemplar VAE, Norouzi et al. 2020, and vae_vampprior before it)
CHUNK_IMAGES = 4096
THRESHOLD = 0.5


def draw_once(images: Images, stream: np.random.RandomState) -> np.ndarray:
    """Bernoulli(intensity) of each pixel, uint8 in {0, 1}, from the next numbers of `stream`.

    In chunks, to save memory: the stream is used pixel by pixel, so their size changes nothing.
    """
    drawn = np.empty(images.pixels.shape, np.uint8)
    for first in range(0, len(drawn), CHUNK_IMAGES):
        part = slice(first, first + CHUNK_IMAGES)
        drawn[part] = stream.binomial(1, np.minimum(images.pixels[part] / images.scale, 1.0))
    return drawn


def protocol_stream() -> np.random.RandomState:
    """The stream of the published protocol: validation images are drawn first, then test images.

    NumPy's old generator on purpose: the protocol is `np.random.seed(777)`.
    """
    return np.random.RandomState(BINARIZE_SEED)


def threshold(images: Images) -> np.ndarray:
    """1 where the intensity is above one half: uint8."""
    return (images.pixels > THRESHOLD * images.scale).astype(np.uint8)


def entropy_floor(images: Images) -> float:
    """Mean over images of Σ H(intensity), nats: what no model can go below on images drawn by `draw_once`."""
    total = 0.0
    for first in range(0, len(images.pixels), CHUNK_IMAGES):
        p = images.pixels[first : first + CHUNK_IMAGES].astype(np.float64) / images.scale
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
        total += float(np.nansum(entropy))  # 0·log 0 is 0
    return total / len(images.pixels)
