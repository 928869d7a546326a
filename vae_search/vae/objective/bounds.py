"""The terms of the evidence lower bound and the importance-weighted bound. All in nats per image, at beta = 1."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from vae_search.vae.networks.forward import VaeFunctions
from vae_search.vae.objective.likelihoods import Likelihood


@dataclass(frozen=True, slots=True, kw_only=True)
class ElboTerms:
    """One draw of the bound for a batch of images: -ELBO = distortion + kl summed over latents."""

    distortion: tf.Tensor
    """(batch,) -log p(x|z)"""
    kl: tf.Tensor
    """(batch, latent_dim) analytic"""
    mean: tf.Tensor
    """(batch, latent_dim) of q(z|x)"""
    raw_log_variance: tf.Tensor
    """(batch, latent_dim) before the clamp"""
    latents: tf.Tensor
    """(batch, latent_dim) the draw"""
    output: tf.Tensor
    """(batch, height, width, outputs · channels) of the decoder"""


def elbo_terms(
    network: VaeFunctions,
    images: tf.Tensor,
    noise: tf.Tensor,
    *,
    clamp: tuple[float, float],
    likelihood: Likelihood,
) -> ElboTerms:
    """The terms of the evidence lower bound (Kingma & Welling 2014, eq. 10).

    Shapes: images (batch, height, width, channels), standard normal noise (batch, latent_dim).
    """
    mean, log_variance, raw_log_variance = posterior(network, images, clamp)
    latents = sample_posterior(mean, log_variance, noise)
    output = network.decoder(latents)
    return ElboTerms(
        distortion=likelihood.distortion(images, output),
        kl=gaussian_kl(mean, log_variance),
        mean=mean,
        raw_log_variance=raw_log_variance,
        latents=latents,
        output=output,
    )


def gaussian_kl(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of each latent, in nats (Kingma & Welling 2014, appendix B).

    Shapes: (batch, latent_dim) each -> (batch, latent_dim). Never negative.
    """
    return 0.5 * (tf.exp(log_variance) + tf.square(mean) - 1.0 - log_variance)


def posterior(
    network: VaeFunctions, images: tf.Tensor, clamp: tuple[float, float]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """q(z|x) as (mean, log_variance, raw_log_variance), each (batch, latent_dim).

    The clamp bounds the place where a VAE with a Gaussian posterior overflows (Dehaene & Brossard 2021).
    """
    mean, raw_log_variance = network.encoder(images)
    return mean, clamped(raw_log_variance, clamp), raw_log_variance


def clamped(values: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    """`values`, none outside the limits. Outside, a gradient passes where a step against it leads back inside.

    The plain clamp's gradient is 0 there, so that a log variance that has left could only come back by chance.
    """
    low, high = limits

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def clamp(raw: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            outward = tf.logical_or(tf.logical_and(raw > high, upstream < 0), tf.logical_and(raw < low, upstream > 0))
            return tf.where(outward, tf.zeros_like(upstream), upstream)

        return tf.clip_by_value(raw, low, high), backward

    return clamp(values)


def sample_posterior(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The reparameterised draw mean + sigma·noise; any shape that (batch, latent_dim) broadcasts to."""
    return mean + tf.exp(0.5 * log_variance) * noise


def log_importance_weights(
    network: VaeFunctions,
    images: tf.Tensor,
    noise: tf.Tensor,
    *,
    clamp: tuple[float, float],
    likelihood: Likelihood,
) -> tf.Tensor:
    """log p(x, z) / q(z|x) of several draws of z for each image.

    Shapes: images (batch, height, width, channels), standard normal noise (draws, batch, latent_dim)
    -> (draws, batch), nats.
    """
    mean, log_variance, _ = posterior(network, images, clamp)
    distortion = distortions(network, images, mean, log_variance, noise, likelihood=likelihood)
    latents = sample_posterior(mean, log_variance, noise)
    # log p(z) - log q(z|x); the two constants log(2π)/2 per dimension cancel.
    log_ratio = 0.5 * tf.reduce_sum(tf.square(noise) + log_variance - tf.square(latents), axis=2)
    return log_ratio - distortion


def distortions(
    network: VaeFunctions,
    images: tf.Tensor,
    mean: tf.Tensor,
    log_variance: tf.Tensor,
    noise: tf.Tensor,
    *,
    likelihood: Likelihood,
) -> tf.Tensor:
    """-log p(x|z) of several draws of z for each image, whose posterior is known.

    Shapes: images (batch, height, width, channels), mean and log_variance (batch, latent_dim), standard normal noise
    (draws, batch, latent_dim) -> (draws, batch), nats.
    """
    draws, batch, latent_dim = tf.unstack(tf.shape(noise))
    latents = sample_posterior(mean, log_variance, noise)
    outputs = network.decoder(tf.reshape(latents, [draws * batch, latent_dim]))
    distortion = likelihood.distortion(tf.tile(images, [draws, 1, 1, 1]), outputs)
    return tf.reshape(distortion, [draws, batch])
