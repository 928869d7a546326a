"""The held-out bound of given weights: it depends on nothing that only training knows (invariant I6)."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_search.vae.bounds import gaussian_kl, iwae_bound, posterior, sample_posterior
from vae_search.vae.likelihoods import bernoulli_distortion
from vae_search.vae.networks import Network

EVALUATION_BATCH = 500  # fixed: another size would add up in another order and change the last bits
EVALUATION_SEED = 777
IWAE_CHUNK = 25  # importance samples held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Per-image results over one set of images, in its order. Nats."""

    distortion: np.ndarray
    """(n,) -E_q[log p(x|z)], one draw of z with noise fixed by position."""
    kl: np.ndarray
    """(n, latent_dim) analytic KL per latent."""
    mean: np.ndarray
    """(n, latent_dim) posterior means."""
    shuffled_distortion: np.ndarray
    """(n,) distortion with each image's latents taken from its neighbour in the batch."""

    @property
    def neg_elbo(self) -> np.ndarray:
        """(n,) distortion + rate at beta = 1."""
        neg_elbo: np.ndarray = self.distortion + self.kl.sum(axis=1)
        return neg_elbo


class Evaluator:
    """Scores one kept network; the plain graph, one batch size, fixed noise."""

    def __init__(self, network: Network, clamp: tuple[float, float]) -> None:
        self._network = network
        self._clamp = clamp
        self._bound = tf.function(self._bound_of_batches, reduce_retracing=True)
        self._log_weights = tf.function(self._iwae_of_batch)

    def neg_elbo(self, images: np.ndarray) -> tuple[float, float]:
        """Mean (distortion, rate) over binary images (n, height, width, channels), nats per image."""
        distortion, rate = self._bound(_batches(images))
        count = len(images)
        return (
            float(np.mean(distortion.numpy()[:count], dtype=np.float64)),
            float(np.mean(rate.numpy()[:count], dtype=np.float64)),
        )

    def evaluate(self, images: np.ndarray) -> Evaluation:
        """All per-image results over binary images (n, height, width, channels).

        Eager: this runs once in a trial, and tracing a graph for it would take longer.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in Evaluation.__dataclass_fields__}
        for position, batch in enumerate(_batches(images)):
            distortion, kl, mean, latents = self._batch_terms(batch, tf.constant(position))
            neighbours = self._network.decoder(tf.roll(latents, 1, axis=0))
            shuffled = bernoulli_distortion(tf.cast(batch, tf.float32), neighbours)
            for name, value in (
                ("distortion", distortion),
                ("kl", kl),
                ("mean", mean),
                ("shuffled_distortion", shuffled),
            ):
                parts[name].append(value.numpy())
        return Evaluation(**{name: np.concatenate(arrays)[: len(images)] for name, arrays in parts.items()})

    def iwae(self, images: np.ndarray, samples: int) -> np.ndarray:
        """The IWAE-`samples` bound of each image, (n,), nats; higher is better. Noise is fixed by position and draw."""
        bounds = []
        for position, batch in enumerate(_batches(images)):
            parts = []
            for first in range(0, samples, IWAE_CHUNK):
                size = min(IWAE_CHUNK, samples - first)
                seed = tf.constant([EVALUATION_SEED + position, first + 1])
                noise = tf.random.stateless_normal([size, EVALUATION_BATCH, self._network.spec.latent_dim], seed)
                parts.append(self._log_weights(tf.cast(batch, tf.float32), noise) + np.log(size))
            bounds.append(tf.reduce_logsumexp(tf.stack(parts), axis=0) - np.log(samples))
        bound: np.ndarray = tf.concat(bounds, axis=0).numpy()[: len(images)]
        return bound

    # No control flow inside; converting it would only cost time.
    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _batch_terms(self, batch: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        images = tf.cast(batch, tf.float32)
        mean, log_variance, _ = posterior(self._network, images, self._clamp)
        seed = tf.stack([EVALUATION_SEED, position])
        noise = tf.random.stateless_normal([EVALUATION_BATCH, self._network.spec.latent_dim], seed)
        latents = sample_posterior(mean, log_variance, noise)
        distortion = bernoulli_distortion(images, self._network.decoder(latents))
        return distortion, gaussian_kl(mean, log_variance), mean, latents

    def _bound_of_batches(self, batches: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(batches)[0]
        distortions = tf.TensorArray(tf.float32, count)
        rates = tf.TensorArray(tf.float32, count)
        for position in tf.range(count):
            distortion, kl, _, _ = self._batch_terms(batches[position], position)
            distortions = distortions.write(position, distortion)
            rates = rates.write(position, tf.reduce_sum(kl, axis=1))
        return distortions.concat(), rates.concat()

    def _iwae_of_batch(self, images: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return iwae_bound(self._network, images, noise, self._clamp)


def _batches(images: np.ndarray) -> np.ndarray:
    """(n, h, w, c) -> (batches, EVALUATION_BATCH, h, w, c); the last batch is filled up with the first images."""
    count = -(-len(images) // EVALUATION_BATCH)
    positions = np.arange(count * EVALUATION_BATCH) % len(images)
    return images[positions].reshape(count, EVALUATION_BATCH, *images.shape[1:])
