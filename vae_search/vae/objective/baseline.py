"""Bound of the latent-free model: what a model must beat to have learned something. Loads no TensorFlow by itself."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vae_search.data.image_checks import blocks
from vae_search.data.pixel_statistics import PixelStatistics, intensities
from vae_search.data.random_access.mapped_images import PixelArray, chosen

if TYPE_CHECKING:
    from vae_search.vae.objective.likelihoods import Likelihood


def latent_free_nats_by_class(
    images: PixelArray, labels: np.ndarray, class_pixels: Sequence[PixelStatistics], likelihood: "Likelihood"
) -> np.ndarray:
    """-log p(x | label) of each image with the pixels of its class independent of each other, in nats: (n,) float64.

    What a conditional model knows without latents is the label, so that this is what it must beat.

    Args:
        labels: (n,) of the images.
        class_pixels: of the training images of each class.
    """
    nats = np.full(len(images), np.nan)
    for number, pixels in enumerate(class_pixels):
        if len(own := np.flatnonzero(labels == number)):
            nats[own] = latent_free_nats(chosen(images, own), pixels, likelihood)
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
