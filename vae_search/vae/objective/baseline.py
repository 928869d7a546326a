"""Bound of the latent-free model: what a model must beat to have learned something. Loads no TensorFlow by itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vae_search.data.image_checks import blocks
from vae_search.data.pixel_statistics import PixelStatistics, intensities
from vae_search.data.random_access.mapped_images import PixelArray, chosen

if TYPE_CHECKING:
    from vae_search.vae.objective.likelihoods import Likelihood


def baseline_nats(
    images: PixelArray,
    pixels: PixelStatistics,
    likelihood: "Likelihood",
    *,
    labels: np.ndarray | None,
    class_pixels: Sequence[PixelStatistics],
) -> np.ndarray:
    """-log p(x), or -log p(x | label), of each image under the latent-free model, in nats: (n,) float64.

    What a conditional model knows without latents is the label, so that the pixels of its class are what it must beat.

    Args:
        pixels: of the training images.
        labels: (n,) that a conditional model sees; None for any other.
        class_pixels: of the training images of each class; empty if they are not known.
    """
    if labels is None or not class_pixels:
        return latent_free_nats(images, pixels, likelihood)
    nats = np.full(len(images), np.nan)
    for number, of_class in enumerate(class_pixels):
        if len(own := np.flatnonzero(labels == number)):
            nats[own] = latent_free_nats(chosen(images, own), of_class, likelihood)
    return nats


def latent_free_nats(images: PixelArray, pixels: PixelStatistics, likelihood: "Likelihood") -> np.ndarray:
    """-log p(x) of each image if its pixels are independent of each other, in nats: (n,) float64.

    Under the likelihood's `latent_free` output, which is the model that every decoder starts from.

    Args:
        images: (n, height, width, channels), in 0 … pixels.levels - 1.
        pixels: of the training images.
    """
    output = likelihood.latent_free(pixels)[None]
    parts = [likelihood.distortion(intensities(block, pixels.levels), output).numpy() for block in blocks(images)]
    return np.concatenate(parts).astype(np.float64)
