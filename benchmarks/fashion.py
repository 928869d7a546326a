"""Parts of Fashion-MNIST as training tasks, and the search space that the studies of this folder draw from."""

from pathlib import Path

import numpy as np
from machine import fashion_mnist_folder

from vae_search.data.binarization import bernoulli_entropy
from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import BINARY, PixelStatistics
from vae_search.data.sources import read_source
from vae_search.data.tasks import TrainingTask

SPACE = {
    "latent_dim": {"type": "int", "low": 8, "high": 64, "log": True},
    "beta": {"type": "float", "low": 0.25, "high": 4.0, "log": True},
    "learning_rate": {"type": "float", "low": 1e-4, "high": 3e-3, "log": True},
    "depth": {"type": "int", "low": 1, "high": 3},
    "width": {"type": "categorical", "choices": [64, 128]},
    "batch_size": {"type": "categorical", "choices": [128, 256]},
}


def slice_task(*, train: int = 10_000, select: int = 2_000) -> TrainingTask:
    """The first `train` images to train on, and of the usual validation images the first `select`, binarised once."""
    grey = read_source(str(fashion_mnist_folder()), cache=Path("none")).train.pixels
    held_out = grey[50_000 : 50_000 + select]
    draws = np.random.RandomState(777).random_sample(held_out.shape)
    return TrainingTask(
        train=grey[:train],
        select=(draws < held_out / 255.0).astype(np.uint8),
        scale=255.0,
        dynamic=True,
        floor=float(bernoulli_entropy(Images(pixels=held_out, scale=255.0)).mean()),
        pixels=PixelStatistics.of(Images(pixels=grey[:train], scale=255.0), levels=BINARY),
    )


def judge_images(count: int) -> np.ndarray:
    """Validation images that `slice_task` leaves alone, binarised once: (count, height, width, channels) in {0, 1}."""
    grey = read_source(str(fashion_mnist_folder()), cache=Path("none")).train.pixels[52_000 : 52_000 + count]
    return (np.random.RandomState(778).random_sample(grey.shape) < grey / 255.0).astype(np.uint8)
