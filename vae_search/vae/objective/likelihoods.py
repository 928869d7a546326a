"""Likelihoods p(x|z) of a decoder's output: log-probabilities, means, draws.

Pixels are whole numbers 0 … levels - 1; images come divided by levels - 1, as *intensities* in [0, 1]. Every likelihood
is of the whole numbers themselves: a probability or, for `gaussian`, a lower bound of one, so that the bounds that are
made of it hold for the same images and may be compared in bits per dimension.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import tensorflow as tf

from vae_search.data.pixel_statistics import BINARY, PixelStatistics
from vae_search.vae.objective.pixel_likelihoods import DiscretizedLogistic, Gaussian

MEAN_LIMITS = (0.001, 0.999)  # of a pixel's mean before its logit is taken, as in the IWAE reference code


class Likelihood(Protocol):
    """p(x|z), as functions of the decoder's output for z.

    Shapes: images are (batch, height, width, channels) float32 intensities, outputs (batch, height, width, outputs ·
    channels), where `outputs` is what the likelihood needs of the network for each value of a pixel.
    """

    @property
    def levels(self) -> int:
        """Pixels are whole numbers 0 … levels - 1."""

    @property
    def limits(self) -> tuple[float, float] | None:
        """Limits of the log scales, which are clamped there; None if it has no scales."""

    @property
    def floor_per_value(self) -> float:
        """Lower bound of the distortion of one value, in nats."""

    def distortion(self, images: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """-log p(x|z) in nats, summed over pixels and channels: (batch,). Never negative."""

    def mean(self, output: tf.Tensor) -> tf.Tensor:
        """Mean image for samples and reconstructions, in [0, 1]: the expected image, of a Gaussian its location."""

    def draw(self, output: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Images drawn from p(x|z), pixel by pixel: uint8 in 0 … levels - 1. `seed`: (2,) int32."""

    def parameters(self, output: tf.Tensor) -> dict[str, tf.Tensor]:
        """The distribution's parameters by name, each in the shape of the images."""

    def clamped_share(self, output: tf.Tensor) -> tf.Tensor:
        """Share of its scales that met their limits: a scalar, 0 if it has none."""

    def latent_free(self, pixels: PixelStatistics) -> np.ndarray:
        """The output that suits the training pixels without latents: (height, width, outputs · channels).

        What every decoder starts from, and what a model must beat to have learned something.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Bernoulli:
    """Pixels that are 0 or 1; the output is the logit of a 1.

    Raises:
        ValueError: Pixels have other levels.
    """

    levels: int = BINARY

    def __post_init__(self) -> None:
        if self.levels != BINARY:
            raise ValueError(f"bernoulli explains pixels of {BINARY} levels, but got {self.levels}")

    @property
    def limits(self) -> None:
        return None

    @property
    def floor_per_value(self) -> float:
        return 0.0

    def distortion(self, images: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """softplus(l) - x·l, summed."""
        return tf.reduce_sum(tf.nn.softplus(output) - images * output, axis=[1, 2, 3])

    def mean(self, output: tf.Tensor) -> tf.Tensor:
        """P(pixel = 1)."""
        return tf.sigmoid(output)

    def draw(self, output: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        uniform = tf.random.stateless_uniform(tf.shape(output), seed)
        return tf.cast(uniform < self.mean(output), tf.uint8)

    def parameters(self, output: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": output}

    def clamped_share(self, output: tf.Tensor) -> tf.Tensor:
        return tf.constant(0.0)

    def latent_free(self, pixels: PixelStatistics) -> np.ndarray:
        """Logits of the mean image.

        Means are clipped to `MEAN_LIMITS`: a pixel that was never lit in training costs 6.9 nats if it is lit now, not
        infinity, and every pixel that stays dark costs at most 0.001 nats too much.
        """
        mean = np.clip(pixels.mean.astype(np.float64), *MEAN_LIMITS)
        logits: np.ndarray = (np.log(mean) - np.log1p(-mean)).astype(np.float32)
        return logits


LIKELIHOODS: Mapping[str, Callable[[int], Likelihood]] = MappingProxyType(
    {
        "bernoulli": lambda levels: Bernoulli(levels=levels),
        "gaussian": lambda levels: Gaussian(levels=levels),
        "discretized_logistic": lambda levels: DiscretizedLogistic(levels=levels),
    }
)
"""By the name that a spec gives: what makes one for pixels of so many levels."""


def likelihood_of(name: str, levels: int) -> Likelihood:
    """The likelihood that a spec or a model's description names.

    Raises:
        ValueError: There is none of that name, or it does not explain so many levels.
    """
    if name not in LIKELIHOODS:
        raise ValueError(f"`likelihood` must be one of {', '.join(LIKELIHOODS)}, but got {name!r:.80}")
    return LIKELIHOODS[name](levels)
