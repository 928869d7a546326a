"""The terms of the evidence lower bound and the importance-weighted bound. All in nats per image, at beta = 1."""

from math import log

import tensorflow as tf

from vae_search.vae.likelihoods import bernoulli_distortion
from vae_search.vae.networks import Network


def gaussian_kl(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of each latent, in nats (Kingma & Welling 2014, appendix B).

    Shapes: (batch, latent_dim) each -> (batch, latent_dim). Never negative.
    """
    return 0.5 * (tf.exp(log_variance) + tf.square(mean) - 1.0 - log_variance)


def posterior(
    network: Network, images: tf.Tensor, clamp: tuple[float, float]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """q(z|x) as (mean, log_variance, raw_log_variance), each (batch, latent_dim).

    The clamp bounds the place where a VAE with a Gaussian posterior overflows (Dehaene & Brossard 2021).
    """
    mean, raw_log_variance = network.encoder(images)
    low, high = clamp
    return mean, tf.clip_by_value(raw_log_variance, low, high), raw_log_variance


def sample_posterior(mean: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The reparameterised draw mean + sigma·noise, (batch, latent_dim)."""
    return mean + tf.exp(0.5 * log_variance) * noise


def iwae_bound(network: Network, images: tf.Tensor, noise: tf.Tensor, clamp: tuple[float, float]) -> tf.Tensor:
    """log (1/K) Σ_k p(x, z_k) / q(z_k|x), the IWAE-K bound on log p(x) (Burda et al. 2016, eq. 8).

    Shapes: images (batch, height, width, channels), noise (K, batch, latent_dim) -> (batch,), nats; higher is better.
    """
    mean, log_variance, _ = posterior(network, images, clamp)

    def log_weight(one_noise: tf.Tensor) -> tf.Tensor:
        latents = sample_posterior(mean, log_variance, one_noise)
        distortion = bernoulli_distortion(images, network.decoder(latents))
        # log p(z) - log q(z|x); the two constants log(2π)/2 per dimension cancel.
        log_ratio = 0.5 * tf.reduce_sum(tf.square(one_noise) + log_variance - tf.square(latents), axis=1)
        return log_ratio - distortion

    log_weights = tf.map_fn(log_weight, noise)
    return tf.reduce_logsumexp(log_weights, axis=0) - log(int(noise.shape[0]))
