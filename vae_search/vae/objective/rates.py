"""Rate of the bound, KL(q(z|x) ‖ p(z)): in closed form with the standard prior, by draws of z with a learned one."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from vae_search.vae.priors.learned import Prior
from vae_search.vae.priors.mixture import LOG_2PI, GaussianMixture


def gaussian_kl(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of each latent, in nats (Kingma & Welling 2014, appendix B).

    Shapes: (batch, latent_dim) each -> (batch, latent_dim). Never negative.
    """
    return 0.5 * (tf.exp(log_variance) + tf.square(mean) - 1.0 - log_variance)


def rates(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor, prior: GaussianMixture) -> tf.Tensor:
    """log q(z|x) - log p(z) at the draws z = mean + sigma·noise: KL(q(z|x) ‖ p(z)) of one draw each, in nats.

    Shapes: mean and log_variance (batch, latent_dim), standard normal noise (…, batch, latent_dim) -> (…, batch).
    """
    own = -0.5 * tf.reduce_sum(tf.square(noise) + log_variance + LOG_2PI, axis=-1)
    return own - prior.log_prob(sample_posterior(mean, log_variance, noise))


def drawn_rates(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor, prior: Prior) -> tf.Tensor:
    """KL(q(z|x) ‖ p(z)) of one draw each, where it is not closed; of two levels of latents given the draw of the upper.

    Shapes: as of `rates`; with the standard prior the moments have the noise's shape.
    """
    if prior is None:
        return tf.reduce_sum(gaussian_kl(mean, log_variance), axis=-1)
    return rates(mean, log_variance, noise, prior)


def rates_of_draws(
    moments: Sequence[tuple[tf.Tensor, tf.Tensor]], noises: Sequence[tf.Tensor], prior: Prior
) -> tuple[np.ndarray, np.ndarray]:
    """Rates of some images with all their draws, and their division among the latents; see `Evaluation`.

    Args:
        moments: mean and log-variance of q(z|x) for each of `noises`, (batch, latent_dim); of two levels of latents
            (draws, batch, latent_dim).
        noises: of consecutive draws, (draws, batch, latent_dim) each.

    Returns:
        (batch, latent_dim) and the same again; with a learned prior (batch, 1) and (batch, latent_dim).
    """
    mean, log_variance = moments[0]
    if prior is None:
        kl = gaussian_kl(mean, log_variance).numpy()
        if kl.ndim == noises[0].shape.rank:
            kl = np.concatenate([gaussian_kl(*each).numpy() for each in moments]).mean(axis=0, dtype=np.float64)
        return kl, kl
    found = np.concatenate([rates(*each, noise, prior).numpy() for each, noise in zip(moments, noises, strict=True)])
    first = noises[0][0]
    if mean.shape.rank == noises[0].shape.rank:
        mean, log_variance = mean[0], log_variance[0]
    own = -0.5 * (np.square(first.numpy()) + log_variance.numpy() + LOG_2PI)
    kl = own - prior.latents_log_prob(sample_posterior(mean, log_variance, first).numpy())
    return found.mean(axis=0, dtype=np.float64)[:, np.newaxis], kl


def sample_posterior(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The reparameterised draw mean + sigma·noise; any shape that (batch, latent_dim) broadcasts to."""
    return mean + tf.exp(0.5 * log_variance) * noise
