"""Mixture of Gaussians with diagonal covariances: the one form that every learned prior has where it is evaluated."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

LOG_2PI = float(np.log(2.0 * np.pi))
CHOICE_STREAM = -1  # beside the seed: of the components that samples come from; their noise has stream 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GaussianMixture:
    """p(z) = Σ_k softmax(logits)_k N(z; means_k, exp(log_variances_k)).

    Shapes: logits (components,), means and log_variances (components, latent_dim).
    """

    logits: tf.Tensor
    means: tf.Tensor
    log_variances: tf.Tensor

    def log_prob(self, latents: tf.Tensor) -> tf.Tensor:
        """log p(z) in nats: (…, latent_dim) -> (…,).

        The square in the exponent is multiplied out, so that two matrix products do it and no array has an entry for
        each latent of each component. What then cancels would be lost in the products of a GPU (TF32), so that they
        are in float64; they are small beside a network's.
        """
        rows, log_variances, means = (tf.cast(each, tf.float64) for each in (latents, self.log_variances, self.means))
        rows = tf.reshape(rows, [-1, tf.shape(rows)[-1]])
        precisions = tf.exp(-log_variances)
        weighted = means * precisions
        constants = tf.reduce_sum(means * weighted + log_variances + LOG_2PI, axis=1)
        squares = tf.matmul(tf.square(rows), precisions, transpose_b=True)
        logs = tf.nn.log_softmax(tf.cast(self.logits, tf.float64)) - 0.5 * (
            squares - 2.0 * tf.matmul(rows, weighted, transpose_b=True) + constants
        )
        return tf.reshape(tf.cast(tf.reduce_logsumexp(logs, axis=1), latents.dtype), tf.shape(latents)[:-1])

    def latents_log_prob(self, latents: np.ndarray) -> np.ndarray:
        """log p(z_d) of each latent by itself, under its marginal distribution: (n, latent_dim) -> (n, latent_dim).

        One component after the other: all at once would take an array with an entry for each latent of each.
        """
        weights = tf.nn.log_softmax(self.logits).numpy()
        found = np.full(latents.shape, -np.inf)
        for weight, mean, log_variance in zip(weights, self.means.numpy(), self.log_variances.numpy(), strict=True):
            squares = np.square(latents - mean) * np.exp(-log_variance)
            found = np.logaddexp(found, weight - 0.5 * (squares + log_variance + LOG_2PI))
        return found

    def sample(self, count: int | tf.Tensor, seed: int | tf.Tensor) -> tf.Tensor:
        """Draws of z, a pure function of the seed: (count, latent_dim)."""
        chosen = tf.random.stateless_categorical(self.logits[tf.newaxis], count, tf.stack([seed, CHOICE_STREAM]))[0]
        noise = tf.random.stateless_normal(tf.stack([count, tf.shape(self.means)[1]]), tf.stack([seed, 0]))
        deviations = tf.exp(0.5 * self.log_variances)
        return tf.gather(self.means, chosen) + tf.gather(deviations, chosen) * noise

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each latent, (latent_dim,) each."""
        weights = tf.nn.softmax(self.logits).numpy()[:, np.newaxis]
        means = self.means.numpy()
        mean = np.sum(weights * means, axis=0)
        variance = np.sum(weights * (np.square(means - mean) + np.exp(self.log_variances.numpy())), axis=0)
        return mean, np.sqrt(variance)
