"""What a decoder's output says about an image: log-probabilities and means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import tensorflow as tf


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """p(x|z) as two functions of the decoder's output, which has the shape of the images.

    distortion: images, output -> (batch,), -log p(x|z) in nats, summed over pixels
    mean: output -> the expected image, in its shape
    """

    distortion: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    mean: Callable[[tf.Tensor], tf.Tensor]


def bernoulli_distortion(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-log p(x|z) of binary pixels, in nats, summed over pixels: softplus(l) - x·l.

    Shapes: images in {0, 1} and logits, both (batch, height, width, channels) -> (batch,). Never negative.
    """
    per_pixel = tf.nn.softplus(logits) - images * logits
    return tf.reduce_sum(per_pixel, axis=[1, 2, 3])


def bernoulli_mean(logits: tf.Tensor) -> tf.Tensor:
    """P(pixel = 1), the shape of `logits`."""
    return tf.sigmoid(logits)


BERNOULLI = Likelihood(distortion=bernoulli_distortion, mean=bernoulli_mean)

LIKELIHOODS: Mapping[str, Likelihood] = MappingProxyType({"bernoulli": BERNOULLI})
"""By the name that a spec gives."""


def likelihood_of(name: str) -> Likelihood:
    """The likelihood that a spec or a model's description names.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in LIKELIHOODS:
        raise ValueError(f"`likelihood` must be one of {', '.join(LIKELIHOODS)}, but got {name!r:.80}")
    return LIKELIHOODS[name]
