"""Bound of the latent-free model: what a model must beat to have learned something. Loads no TensorFlow by itself."""

from typing import TYPE_CHECKING

import numpy as np

from vae_search.data.image_checks import blocks
from vae_search.data.pixel_statistics import PixelStatistics, intensities
from vae_search.data.random_access.mapped_images import PixelArray

if TYPE_CHECKING:
    from vae_search.vae.objective.likelihoods import Likelihood


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
