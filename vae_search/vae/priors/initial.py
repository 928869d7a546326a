"""First weights of a learned prior, from training images: a function of the seed.

They are set at a training's start, by the encoder as it is then.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from vae_search.data.tasks import TrainingTask
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.network import BuiltNetwork
from vae_search.vae.networks.prior_weights import PRIOR_WEIGHTS, mixture_weights

PRIOR_STREAM = 785  # beside a trial's seed
JITTER = 0.01  # of pseudo-inputs: two that are equal would stay so


def with_first_prior(
    network: BuiltNetwork, weights: Sequence[np.ndarray], task: TrainingTask, *, seed: int, clamp: tuple[float, float]
) -> list[np.ndarray]:
    """A network's first weights with those of its prior put in: from the first encodings of training images.

    mixture: the means are draws of q(z|x) of as many images, so that two components are never equal.
    vamp: the pseudo-inputs are images, with a little noise.

    Args:
        weights: of the whole network, in the order of its shapes.
        clamp: of the encoder's log variance.
    """
    kind = network.spec.prior
    if kind == "standard":
        return [*weights]
    rng = np.random.default_rng([seed, PRIOR_STREAM])
    count, components = len(task.train), network.spec.prior_components
    chosen = rng.choice(count, components, replace=components > count)
    scale = task.scale if task.dynamic else float(task.pixels.levels - 1)
    images = np.stack([task.train[int(place)] for place in chosen]).astype(np.float32) / np.float32(scale)
    first = len(weights) - len(PRIOR_WEIGHTS[kind])
    if kind == "vamp":
        noisy = images + JITTER * rng.standard_normal(images.shape)
        return [*weights[:first], np.clip(noisy, 0.0, 1.0).astype(np.float32)]
    labels = None if task.labels is None else tf.constant(task.labels.train[chosen], tf.int32)
    read = [tf.constant(weight) for weight in weights]
    mean, log_variance = (part.numpy() for part in functions_of(network.topology, read, labels=labels).encoder(images))
    noise = rng.standard_normal(mean.shape)
    means = (mean + np.exp(0.5 * np.clip(log_variance, *clamp)) * noise).astype(np.float32)
    return [*weights[:first], *mixture_weights(np.zeros(components, np.float32), means, np.zeros_like(means))]
