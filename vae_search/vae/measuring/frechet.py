"""Metric `frechet`: the Fréchet distance between samples and held-out images, in features of the training images."""

import numpy as np

from vae_search.data.pixel_statistics import BINARY
from vae_search.vae.inference.sample_quality import frechet_distance
from vae_search.vae.measuring.model_view import MeasuredModel

SAMPLES_SEED = 782


def frechet(model: MeasuredModel, images: np.ndarray, labels: np.ndarray | None) -> float:
    """The squared distance of the two Gaussian fits (Heusel et al. 2017); 0 is best.

    Samples are draws of black and white pixels, and means of all others, as the promotion's gate takes them.

    Args:
        images: (n, height, width, channels) float32 in [0, 1]; as many samples are drawn.
    """
    seen = labels if model.classes else None  # as many of each class as there are images of it
    if model.levels == BINARY:
        samples = model.draw(len(images), seed=SAMPLES_SEED, labels=seen).astype(np.float32)
    else:
        samples = model.sample(len(images), seed=SAMPLES_SEED, labels=seen)
    return frechet_distance(model.features(samples), model.features(images))
