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


def rates_of_draws(
    mean: tf.Tensor, log_variance: tf.Tensor, noises: Sequence[tf.Tensor], prior: Prior
) -> tuple[np.ndarray, np.ndarray]:
    """Rates of some images with all their draws, and their division among the latents; see `Evaluation`.

    Args:
        mean, log_variance: (batch, latent_dim) of q(z|x).
        noises: of consecutive draws, (draws, batch, latent_dim) each.

    Returns:
        (batch, latent_dim) and the same again; with a learned prior (batch, 1) and (batch, latent_dim).
    """
    if prior is None:
        kl = gaussian_kl(mean, log_variance).numpy()
        return kl, kl
    found = np.concatenate([rates(mean, log_variance, noise, prior).numpy() for noise in noises])
    first = noises[0][0]
    own = -0.5 * (np.square(first.numpy()) + log_variance.numpy() + LOG_2PI)
    kl = own - prior.latents_log_prob(sample_posterior(mean, log_variance, first).numpy())
    return found.mean(axis=0, dtype=np.float64)[:, np.newaxis], kl


def sample_posterior(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The reparameterised draw mean + sigma·noise; any shape that (batch, latent_dim) broadcasts to."""
    return mean + tf.exp(0.5 * log_variance) * noise
