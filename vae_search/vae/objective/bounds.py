"""The terms of the evidence lower bound and the importance-weighted bound. All in nats per image, at beta = 1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import tensorflow as tf

from vae_search.vae.networks.clamping import clamped
from vae_search.vae.networks.forward import VaeFunctions
from vae_search.vae.networks.hierarchy.weighted_hierarchy import Moments, WeightedHierarchy
from vae_search.vae.objective.likelihoods import Likelihood
from vae_search.vae.objective.rates import gaussian_kl, rates, sample_posterior
from vae_search.vae.priors.learned import Prior


@dataclass(frozen=True, slots=True, kw_only=True)
class ElboTerms:
    """One draw of the bound for a batch of images: -ELBO = distortion + kl summed over latents."""

    distortion: tf.Tensor
    """(batch,) -log p(x|z)"""
    kl: tf.Tensor
    """(batch, latent_dim) analytic; with a learned prior (batch, 1), of all latents together, at the draw"""
    mean: tf.Tensor
    """(batch, latent_dim) of q(z|x), of a lower level given the draw of the upper one"""
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
    prior: Prior = None,
) -> ElboTerms:
    """The terms of the evidence lower bound (Kingma & Welling 2014, eq. 10).

    Shapes: images (batch, height, width, channels), standard normal noise (batch, latent_dim).
    """
    mean, log_variance, raw_log_variance = posterior(network, images, clamp, noise)
    latents = sample_posterior(mean, log_variance, noise)
    output = network.decoder(latents)
    return ElboTerms(
        distortion=likelihood.distortion(images, output),
        kl=gaussian_kl(mean, log_variance) if prior is None else rates(mean, log_variance, noise, prior)[:, tf.newaxis],
        mean=mean,
        raw_log_variance=raw_log_variance,
        latents=latents,
        output=output,
    )


def joined(parts: Sequence[ElboTerms]) -> ElboTerms:
    """Terms of one batch from those of its parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    names = [each.name for each in fields(ElboTerms)]
    return ElboTerms(**{name: tf.concat([getattr(part, name) for part in parts], axis=0) for name in names})


def posterior(
    network: VaeFunctions, images: tf.Tensor, clamp: tuple[float, float], noise: tf.Tensor | None = None
) -> Moments:
    """q(z|x) as (mean, log_variance, raw_log_variance); see `posterior_given`."""
    return posterior_given(network, images, clamp)(noise)


def posterior_given(
    network: VaeFunctions, images: tf.Tensor, clamp: tuple[float, float]
) -> Callable[[tf.Tensor | None], Moments]:
    """q(z|x) as a function from noise to (mean, log_variance, raw_log_variance), each (batch, latent_dim).

    With two levels of latents the moments of the lower one are those given the draw of the upper one that the noise
    makes, so that they have the noise's shape, (…, batch, latent_dim); without noise, given the upper one's mean. Any
    other posterior does not look at the noise.

    The clamp bounds the place where a VAE with a Gaussian posterior overflows (Dehaene & Brossard 2021).
    """
    if isinstance(network, WeightedHierarchy):
        return network.posterior(images, clamp)
    mean, raw_log_variance = network.encoder(images)
    moments = mean, clamped(raw_log_variance, clamp), raw_log_variance
    return lambda _: moments


def log_importance_weights(
    network: VaeFunctions,
    images: tf.Tensor,
    noise: tf.Tensor,
    *,
    clamp: tuple[float, float],
    likelihood: Likelihood,
    prior: Prior = None,
) -> tf.Tensor:
    """log p(x, z) / q(z|x) of several draws of z for each image.

    Shapes: images (batch, height, width, channels), standard normal noise (draws, batch, latent_dim)
    -> (draws, batch), nats.
    """
    given = posterior_given(network, images, clamp)
    return log_weights_given(network, images, given, noise, likelihood=likelihood, prior=prior)


def log_weights_given(
    network: VaeFunctions,
    images: tf.Tensor,
    given: Callable[[tf.Tensor | None], Moments],
    noise: tf.Tensor,
    *,
    likelihood: Likelihood,
    prior: Prior = None,
) -> tf.Tensor:
    """`log_importance_weights` of some draws after others, for which images are encoded once.

    Args:
        given: their posterior, as `posterior_given` tells it.
    """
    mean, log_variance, _ = given(noise)
    distortion = distortions(network, images, mean, log_variance, noise, likelihood=likelihood)
    if prior is not None:
        return -rates(mean, log_variance, noise, prior) - distortion
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

    Shapes: images (batch, height, width, channels), mean and log_variance (batch, latent_dim), or with draws in front,
    standard normal noise (draws, batch, latent_dim) -> (draws, batch), nats.
    """
    draws, batch, latent_dim = tf.unstack(tf.shape(noise))
    latents = sample_posterior(mean, log_variance, noise)
    outputs = network.decoder(tf.reshape(latents, [draws * batch, latent_dim]))
    distortion = likelihood.distortion(tf.tile(images, [draws, 1, 1, 1]), outputs)
    return tf.reshape(distortion, [draws, batch])
