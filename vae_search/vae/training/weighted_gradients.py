"""Doubly reparameterised gradients of the importance-weighted bound, for training.

The bound of K draws (Burda et al. 2016, eq. 8) is log 1/K Σ_k w_k with w_k = p(x|z_k) (p(z_k) / q(z_k|x))^beta; at
beta = 1 these are the importance weights, and it lies between the ELBO and log p(x). The decoder and a learned prior
have its plain gradient Σ_k ŵ_k ∇ log w_k, with ŵ_k = w_k / Σ_j w_j. That of the encoder has a part, ∇ log q(z_k|x) at
fixed z_k, whose noise drowns the rest as K grows (Rainforth et al. 2018, "Tighter Variational Bounds are Not
Necessarily Better"). Reparameterised once more (Tucker et al. 2018, "Doubly Reparameterized Gradient Estimators for
Monte Carlo Objectives") it has the same expectation and goes along the draws alone: Σ_k ŵ_k² ∂ log w_k/∂z_k ∂z_k/∂φ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from vae_search.vae.networks.forward import VaeFunctions
from vae_search.vae.objective.bounds import posterior
from vae_search.vae.objective.likelihoods import Likelihood
from vae_search.vae.objective.rates import sample_posterior
from vae_search.vae.priors.learned import Prior
from vae_search.vae.priors.mixture import LOG_2PI


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedGradients:
    """Gradients of one batch, and what is recorded of it."""

    gradients: list[tf.Tensor]
    """of the negative bound, in the order of the weights"""
    neg_bound: tf.Tensor
    """the negative bound at beta = 1, nats per image"""
    neg_elbo: tf.Tensor
    """the mean of the draws at beta = 1, nats per image"""
    raw_log_variance: tf.Tensor
    """(batch, latent_dim) before the clamp"""
    output: tf.Tensor
    """(draws · batch, height, width, outputs · channels) of the decoder"""


def weighted_gradients(
    weights: Sequence[tf.Variable],
    network_of_weights: Callable[[], tuple[VaeFunctions, Prior]],
    images: tf.Tensor,
    noise: tf.Tensor,
    *,
    clamp: tuple[float, float],
    likelihood: Likelihood,
    beta: tf.Tensor | float,
) -> WeightedGradients:
    """Gradients of the negative bound of several draws with respect to all weights.

    For any beta the score is beta ∇ log q, and what it becomes leaves (1 - beta) ŵ_k + beta ŵ_k² as the weight of each
    draw's path. The encoder runs once for each image, the decoder once for each draw. Where the prior depends on the
    encoder's weights, as pseudo-inputs do, that part of their gradient is the plain one. One level of latents is
    assumed, whose moments are the same for every draw.

    Shapes: images (batch, height, width, channels), standard normal noise (draws, batch, latent_dim).

    Args:
        network_of_weights: the network that runs on `weights`, and its prior; called while gradients are recorded.
    """
    draws, batch, latent_dim = tf.unstack(tf.shape(noise))
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(weights)
        network, prior = network_of_weights()
        mean, log_variance, raw_log_variance = posterior(network, images, clamp)
        drawn = sample_posterior(mean, log_variance, noise)
        latents = tf.stop_gradient(drawn)  # where the tape is cut: the path to the encoder is taken by itself
        tape.watch(latents)
        output = network.decoder(tf.reshape(latents, [draws * batch, latent_dim]))
        distortion = tf.reshape(likelihood.distortion(tf.tile(images, [draws, 1, 1, 1]), output), [draws, batch])
        log_ratio = _log_prior(latents, prior) - _log_posterior(latents, mean, log_variance)
        log_weights = beta * log_ratio - distortion
        shares = tf.stop_gradient(tf.nn.softmax(log_weights, axis=0))
        objective = -tf.reduce_mean(tf.reduce_sum(shares * log_weights, axis=0))
    of_latents, *plain = tape.gradient(objective, [latents, *weights])
    along = (1.0 - beta + beta * shares)[:, :, tf.newaxis] * of_latents  # of_latents has one ŵ_k already
    paths = tape.gradient(drawn, weights, output_gradients=along)
    at_one = log_ratio - distortion
    bound = tf.reduce_logsumexp(at_one, axis=0) - tf.math.log(tf.cast(draws, at_one.dtype))
    return WeightedGradients(
        gradients=[_sum(parts) for parts in zip(plain, paths, strict=True)],
        neg_bound=-tf.reduce_mean(bound),
        neg_elbo=-tf.reduce_mean(at_one),
        raw_log_variance=raw_log_variance,
        output=output,
    )


def _log_prior(latents: tf.Tensor, prior: Prior) -> tf.Tensor:
    """log p(z): (draws, batch, latent_dim) -> (draws, batch)."""
    if prior is not None:
        return prior.log_prob(latents)
    return -0.5 * tf.reduce_sum(tf.square(latents) + LOG_2PI, axis=2)


def _log_posterior(latents: tf.Tensor, mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """log q(z|x) as a function of z alone: (draws, batch, latent_dim) -> (draws, batch)."""
    center, spread = tf.stop_gradient(mean), tf.stop_gradient(log_variance)
    standardised = (latents - center) * tf.exp(-0.5 * spread)
    return -0.5 * tf.reduce_sum(tf.square(standardised) + spread + LOG_2PI, axis=2)


def _sum(parts: Sequence[tf.Tensor | None]) -> tf.Tensor:
    """Sum of those gradients that there are: a decoder's weights have no path through the draws, and so on."""
    return tf.add_n([part for part in parts if part is not None])
