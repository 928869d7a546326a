"""A small real task: scikit-learn's 8×8 digits, binarised."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import TrainingTask
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer


@pytest.fixture(scope="session")
def task() -> TrainingTask:
    images = load_digits().images.astype(np.uint8)[..., None]
    grey = images[1280:] / 16.0
    select = np.random.default_rng(0).random(grey.shape) < grey
    return TrainingTask(
        train=images[:1280],
        select=select.astype(np.uint8),
        scale=16.0,
        dynamic=True,
        floor=10.0,
        pixels=PixelStatistics.of(Images(pixels=images[:1280], scale=16.0), levels=2),
    )


@pytest.fixture(scope="session", autouse=True)  # threads can be set only before TensorFlow's first operation
def trainer(task: TrainingTask) -> Trainer:
    return Trainer(task, threads=1)


@pytest.fixture(scope="session")
def plan() -> TrainingPlan:
    return TrainingPlan(
        epochs=4, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )
