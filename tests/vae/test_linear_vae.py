"""A linear VAE against probabilistic PCA, whose likelihood and optimum are known in closed form.

Tipping & Bishop 1999: x = W z + μ + ε with ε ~ N(0, σ²) has log p(x) = log N(x; μ, W Wᵀ + σ² I); its maximum has
W = U (Λ - σ² I)^½ from the leading eigenvectors, and then the posterior's covariance σ² (Wᵀ W + σ² I)⁻¹ is diagonal,
so that a linear encoder can be exact (Lucas et al. 2019).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from vae_search.vae.bounds import elbo_terms, log_importance_weights
from vae_search.vae.forward import WeightedNetwork
from vae_search.vae.layers import Layer
from vae_search.vae.likelihoods import Likelihood
from vae_search.vae.networks import Network, NetworkSpec

SHAPE = (2, 3, 1)
PIXELS, LATENTS, IMAGES, VARIANCE = 6, 2, 400, 0.25
CLAMP = (-20.0, 20.0)


def gaussian_distortion(images: tf.Tensor, means: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(images - means), axis=[1, 2, 3]) / VARIANCE
    return 0.5 * (squares + PIXELS * float(np.log(2 * np.pi * VARIANCE)))


GAUSSIAN = Likelihood(distortion=gaussian_distortion, mean=tf.identity)


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, (PIXELS, LATENTS)) * [2.0, 1.0]
    return rng.normal(0, 1, (IMAGES, LATENTS)) @ true.T + rng.normal(0, np.sqrt(VARIANCE), (IMAGES, PIXELS)) + 0.5


@pytest.fixture(scope="module")
def images(data) -> tf.Tensor:
    return tf.constant(data.reshape(IMAGES, *SHAPE), tf.float32)


@pytest.fixture(scope="module")
def optimum(data) -> tuple[np.ndarray, np.ndarray]:
    """Loadings W and mean μ of the maximum-likelihood solution for the given noise variance."""
    values, vectors = np.linalg.eigh(np.cov(data.T, bias=True))
    leading = np.argsort(values)[::-1][:LATENTS]
    return vectors[:, leading] * np.sqrt(values[leading] - VARIANCE), data.mean(axis=0)


@pytest.fixture(scope="module")
def exact(data, optimum) -> np.ndarray:
    """log p(x) of every image at the optimum."""
    loadings, mean = optimum
    return stats.multivariate_normal(mean, loadings @ loadings.T + VARIANCE * np.eye(PIXELS)).logpdf(data)


def linear_network() -> Network:
    spec = NetworkSpec(architecture="mlp", image_shape=SHAPE, latent_dim=LATENTS, depth=1, width=1, activation="relu")
    decoder = (Layer("dense", PIXELS), Layer("reshape", detail=SHAPE[:2]))
    return Network(spec=spec, encoder=(Layer("flatten"),), decoder=decoder)


def exact_weights(optimum) -> list[tf.Tensor]:
    loadings, mean = optimum
    inverse = np.linalg.inv(loadings.T @ loadings + VARIANCE * np.eye(LATENTS))
    encoder = loadings @ inverse
    log_variance = np.log(VARIANCE * np.diag(inverse))
    arrays = [encoder, -mean @ encoder, np.zeros((PIXELS, LATENTS)), log_variance, loadings.T, mean]
    return [tf.constant(array, tf.float32) for array in arrays]


def test_with_the_exact_posterior_every_importance_weight_is_the_likelihood(images, optimum, exact):
    network = WeightedNetwork(topology=linear_network().topology, weights=exact_weights(optimum))
    noise = tf.random.stateless_normal([5, IMAGES, LATENTS], [1, 2])

    log_weights = log_importance_weights(network, images, noise, clamp=CLAMP, likelihood=GAUSSIAN)

    np.testing.assert_allclose(log_weights, np.tile(exact, (5, 1)), rtol=1e-4, atol=1e-4)


def test_at_its_optimum_the_elbo_reaches_the_likelihood(images, optimum, exact):
    network = WeightedNetwork(topology=linear_network().topology, weights=exact_weights(optimum))
    draws = []
    for seed in range(200):
        noise = tf.random.stateless_normal([IMAGES, LATENTS], [seed, 3])
        terms = elbo_terms(network, images, noise, clamp=CLAMP, likelihood=GAUSSIAN)
        draws.append(float(tf.reduce_mean(-terms.distortion - tf.reduce_sum(terms.kl, axis=1))))
    error = np.std(draws) / np.sqrt(len(draws))

    assert np.mean(draws) == pytest.approx(exact.mean(), abs=3 * error)
    assert error < 0.01


def test_training_on_the_elbo_finds_the_maximum_likelihood(images, exact):
    network = linear_network()
    rng = np.random.default_rng(1)
    weights = [tf.Variable(tf.cast(0.1 * rng.normal(size=shape), tf.float32)) for shape in network.shapes]
    functions = WeightedNetwork(topology=network.topology, weights=weights)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 2500))

    @tf.function(autograph=False)
    def step(seed: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            noise = tf.random.stateless_normal([IMAGES, LATENTS], tf.stack([seed, 5]))
            terms = elbo_terms(functions, images, noise, clamp=CLAMP, likelihood=GAUSSIAN)
            loss = tf.reduce_mean(terms.distortion + tf.reduce_sum(terms.kl, axis=1))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return -loss

    elbos = [float(step(tf.constant(seed))) for seed in range(2500)]

    assert np.mean(elbos[-100:]) == pytest.approx(exact.mean(), abs=0.03)
    assert elbos[0] < exact.mean() - 3


def test_with_a_wrong_encoder_the_bounds_rise_with_k_towards_the_likelihood_and_stay_below(images, optimum, exact):
    weights = exact_weights(optimum)
    weights[1] += 0.3  # the mean is off
    weights[3] += 0.7  # and the variance is twice as large
    network = WeightedNetwork(topology=linear_network().topology, weights=weights)
    noise = tf.random.stateless_normal([2000, IMAGES, LATENTS], [6, 7])
    log_weights = log_importance_weights(network, images, noise, clamp=CLAMP, likelihood=GAUSSIAN).numpy()

    gaps, errors = {}, {}
    for samples in (1, 5, 50, 500):
        parts = log_weights.reshape(-1, samples, IMAGES)  # 2000 / K independent estimates of each image's bound
        bound = special.logsumexp(parts, axis=1) - np.log(samples)
        gaps[samples] = float(np.mean(exact - bound))
        errors[samples] = float(np.std(np.mean(exact - bound, axis=1)) / np.sqrt(len(parts)))

    assert all(gaps[samples] > -3 * errors[samples] for samples in gaps)
    assert gaps[1] > gaps[5] > gaps[50] > gaps[500]
    assert gaps[1] > 0.3
    assert gaps[500] < 0.05 * gaps[1]
