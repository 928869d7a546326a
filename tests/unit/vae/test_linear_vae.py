"""A linear VAE with the shipped Gaussian against probabilistic PCA: likelihood and optimum are known in closed form.

Tipping & Bishop 1999: y = W z + μ + ε with ε ~ N(0, σ²) has log p(y) = log N(y; μ, W Wᵀ + σ² I); its maximum has
W = U (Λ - σ² I)^½ from the leading eigenvectors and σ² the mean of the other eigenvalues, and then the posterior's
covariance σ² (Wᵀ W + σ² I)⁻¹ is diagonal, so that a linear encoder can be exact (Lucas et al. 2019).

Pixels are whole numbers v, so that y = (v + u) / 256 with u uniform: its mean is the middle of a level, and it has
1 / (12 · 256²) more variance than that.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.support.networks import linear_network
from vae_search.vae.networks.forward import WeightedNetwork
from vae_search.vae.networks.layers import SCALE_PACE
from vae_search.vae.objective.bounds import elbo_terms, log_importance_weights
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.pixel_likelihoods import Gaussian
from vae_search.vae.objective.pixels import as_intensities
from vae_search.vae.training.weighted_gradients import weighted_gradients

pytestmark = pytest.mark.needs_tensorflow

SHAPE = (2, 3, 1)
PIXELS, LATENTS, IMAGES, DEVIATION, LEVELS = 6, 2, 400, 0.04, 256
WITHIN_LEVEL = 1 / (12 * LEVELS**2)
CLAMP = (-20.0, 20.0)
GAUSSIAN = Gaussian(levels=LEVELS)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """(IMAGES, PIXELS) whole numbers."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, (PIXELS, LATENTS)) * [0.08, 0.06]
    values = rng.normal(0, 1, (IMAGES, LATENTS)) @ true.T + rng.normal(0, DEVIATION, (IMAGES, PIXELS)) + 0.5
    assert 0 < values.min() < values.max() < 1
    return np.floor(values * LEVELS).astype(np.uint8)


@pytest.fixture(scope="module")
def middles(pixels) -> np.ndarray:
    return (pixels + 0.5) / LEVELS


@pytest.fixture(scope="module")
def images(pixels) -> tf.Tensor:
    return as_intensities(tf.constant(pixels.reshape(IMAGES, *SHAPE)), LEVELS)


@pytest.fixture(scope="module")
def optimum(middles) -> tuple[np.ndarray, np.ndarray, float]:
    """Loadings W, mean μ and noise variance σ² of the maximum-likelihood solution."""
    values, vectors = np.linalg.eigh(np.cov(middles.T, bias=True) + WITHIN_LEVEL * np.eye(PIXELS))
    variance = float(values[:-LATENTS].mean())
    leading = np.argsort(values)[::-1][:LATENTS]
    return vectors[:, leading] * np.sqrt(values[leading] - variance), middles.mean(axis=0), variance


@pytest.fixture(scope="module")
def exact(middles, optimum) -> np.ndarray:
    """E_u[log p(y)] - PIXELS · log 256 of every image at the optimum: what bounds the probability of its pixels."""
    loadings, mean, variance = optimum
    covariance = loadings @ loadings.T + variance * np.eye(PIXELS)
    spread = 0.5 * WITHIN_LEVEL * np.trace(np.linalg.inv(covariance))
    return stats.multivariate_normal(mean, covariance).logpdf(middles) - spread - PIXELS * np.log(LEVELS)


def exact_weights(optimum) -> list[tf.Tensor]:
    """The encoder sees intensities v / 255 = y · 256 / 255 - ½ / 255 of the middle y."""
    loadings, mean, variance = optimum
    inverse = np.linalg.inv(loadings.T @ loadings + variance * np.eye(LATENTS))
    encoder = loadings @ inverse
    log_variance = np.log(variance * np.diag(inverse))
    shrink, shift = (LEVELS - 1) / LEVELS, 0.5 / LEVELS
    arrays = [
        shrink * encoder,
        (shift - mean) @ encoder,
        np.zeros((PIXELS, LATENTS)),
        log_variance,
        loadings.T,
        mean,
        [0.5 * np.log(variance) / SCALE_PACE],
    ]
    return [tf.constant(array, tf.float32) for array in arrays]


def test_with_the_exact_posterior_every_importance_weight_is_the_likelihood(images, optimum, exact):
    network = WeightedNetwork(topology=linear_network(SHAPE, latents=LATENTS).topology, weights=exact_weights(optimum))
    noise = tf.random.stateless_normal([5, IMAGES, LATENTS], [1, 2])

    log_weights = log_importance_weights(network, images, noise, clamp=CLAMP, likelihood=GAUSSIAN)

    np.testing.assert_allclose(log_weights, np.tile(exact, (5, 1)), rtol=1e-4, atol=2e-3)


def test_at_its_optimum_the_elbo_reaches_the_likelihood(images, optimum, exact):
    network = WeightedNetwork(topology=linear_network(SHAPE, latents=LATENTS).topology, weights=exact_weights(optimum))
    draws = []
    for seed in range(200):
        noise = tf.random.stateless_normal([IMAGES, LATENTS], [seed, 3])
        terms = elbo_terms(network, images, noise, clamp=CLAMP, likelihood=GAUSSIAN)
        draws.append(float(tf.reduce_mean(-terms.distortion - tf.reduce_sum(terms.kl, axis=1))))
    error = np.std(draws) / np.sqrt(len(draws))

    assert np.mean(draws) == pytest.approx(exact.mean(), abs=3 * error)
    assert error < 0.01


def test_training_on_the_elbo_finds_the_maximum_likelihood_and_its_noise(images, exact, optimum):
    network = linear_network(SHAPE, latents=LATENTS)
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
    assert np.exp(2 * SCALE_PACE * weights[-1].numpy()) == pytest.approx(optimum[2], rel=0.03)
    assert elbos[0] < exact.mean() - 3


def test_with_a_wrong_encoder_the_bounds_rise_with_k_towards_the_likelihood_and_stay_below(images, optimum, exact):
    weights = exact_weights(optimum)
    weights[1] += 0.3  # the mean is off
    weights[3] += 0.7  # and the variance is twice as large
    network = WeightedNetwork(topology=linear_network(SHAPE, latents=LATENTS).topology, weights=weights)
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


@pytest.mark.parametrize("draws", [1, 4, 16, 50])
def test_the_mean_over_draws_is_the_exact_elbo_with_a_variance_that_falls_with_their_number(
    pixels, middles, optimum, draws
):
    """E_q of the Gaussian's square is that of the mean plus Σ_j (WᵀW)_jj s_j² (Tipping & Bishop 1999, appendix A)."""
    loadings, _, variance = optimum
    weights = exact_weights(optimum)
    weights[3] += 0.7  # the posterior is too wide, and all draws of z are worth something else
    network = WeightedNetwork(topology=linear_network(SHAPE, latents=LATENTS).topology, weights=weights)
    seen = as_intensities(tf.constant(pixels.reshape(IMAGES, *SHAPE)), LEVELS)
    mean, log_variance = network.encoder(seen)
    of_mean = GAUSSIAN.distortion(seen, network.decoder(mean)).numpy()
    spread = np.exp(log_variance.numpy()) @ np.diag(loadings.T @ loadings) / (2 * variance)

    found = Evaluator(network.topology, SHAPE, clamp=CLAMP, likelihood=GAUSSIAN).evaluate(
        weights, pixels.reshape(IMAGES, *SHAPE), draws=draws
    )

    # The square of J = WᵀW s² n with n ~ N(0, I) beside twice its product with the residual, which varies by image.
    residual = (middles - network.decoder(mean).numpy()[..., 0].reshape(IMAGES, -1)) @ loadings
    scales = np.exp(0.5 * log_variance.numpy())
    gram = loadings.T @ loadings
    quadratic = 0.5 * np.einsum("ij,jk,ik->i", scales**2, gram**2, scales**2) / variance**2
    of_one_draw = quadratic + np.sum((residual * scales) ** 2, axis=1) / variance**2
    errors = (found.distortion - of_mean - spread) / np.sqrt(of_one_draw / draws)
    assert abs(errors.mean()) < 3 / np.sqrt(IMAGES)
    assert errors.var() == pytest.approx(1.0, abs=4 * np.sqrt(3 / IMAGES))


def test_the_encoders_gradient_gets_clearer_with_more_draws_where_the_plain_one_drowns(images, optimum):
    """Ratio of signal to noise, by draws K: it falls as K^-½ for the plain estimate (Rainforth et al. 2018, theorem 1),
    and rises for the doubly reparameterised one (Tucker et al. 2018, section 5)."""
    topology, few = linear_network(SHAPE, latents=LATENTS).topology, images[:20]
    arrays = exact_weights(optimum)
    variables = [tf.Variable(array) for array in (arrays[0], arrays[1] + 0.2, arrays[2], arrays[3] + 0.2, *arrays[4:])]
    network = WeightedNetwork(topology=topology, weights=variables)

    @tf.function(autograph=False)
    def gradients(noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logs = log_importance_weights(network, few, noise, clamp=CLAMP, likelihood=GAUSSIAN)
            bound = tf.reduce_mean(tf.reduce_logsumexp(logs, axis=0))
        ours = weighted_gradients(
            variables, lambda: (network, None), few, noise, clamp=CLAMP, likelihood=GAUSSIAN, beta=1.0
        )
        return -tape.gradient(bound, variables[1]), ours.gradients[1]  # of the biases of the posterior's means

    clearness = {}
    for draws in (4, 64):
        pairs = [gradients(tf.random.stateless_normal([draws, 20, LATENTS], [seed, 8])) for seed in range(100)]
        for name, place in (("plain", 0), ("ours", 1)):
            found = np.stack([pair[place].numpy() for pair in pairs])
            clearness[name, draws] = np.abs(found.mean(axis=0)).mean() / found.std(axis=0).mean()

    assert clearness["ours", 64] > 1.5 * clearness["ours", 4]
    assert clearness["plain", 64] < 0.7 * clearness["plain", 4]
    assert clearness["ours", 4] > clearness["plain", 4]


def test_at_the_exact_posterior_nothing_moves_the_encoder(images, optimum):
    """Then every weight is p(x), so that each draw's path has log w_k's derivative, 0, whatever the draw."""
    network = linear_network(SHAPE, latents=LATENTS)
    variables = [tf.Variable(array) for array in exact_weights(optimum)]
    noise = tf.random.stateless_normal([6, IMAGES, LATENTS], [1, 2])

    found = weighted_gradients(
        variables,
        lambda: (WeightedNetwork(topology=network.topology, weights=variables), None),
        images,
        noise,
        clamp=CLAMP,
        likelihood=GAUSSIAN,
        beta=1.0,
    )

    for gradient in found.gradients[:4]:  # of the encoder's two heads
        np.testing.assert_allclose(gradient, np.zeros(gradient.shape), atol=2e-3)


@pytest.mark.slow
def test_training_on_the_bound_of_several_draws_finds_the_maximum_likelihood_and_its_noise(
    images,
    exact,
    optimum,
):
    network = linear_network(SHAPE, latents=LATENTS)
    rng = np.random.default_rng(1)
    variables = [tf.Variable(tf.cast(0.1 * rng.normal(size=shape), tf.float32)) for shape in network.shapes]
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 2500))

    @tf.function(autograph=False)
    def step(seed: tf.Tensor) -> tf.Tensor:
        found = weighted_gradients(
            variables,
            lambda: (WeightedNetwork(topology=network.topology, weights=variables), None),
            images,
            tf.random.stateless_normal([5, IMAGES, LATENTS], tf.stack([seed, 5])),
            clamp=CLAMP,
            likelihood=GAUSSIAN,
            beta=1.0,
        )
        optimizer.apply(found.gradients, variables)
        return -found.neg_bound

    bounds = [float(step(tf.constant(seed))) for seed in range(2500)]

    assert np.mean(bounds[-100:]) == pytest.approx(exact.mean(), abs=0.03)
    assert np.exp(2 * SCALE_PACE * variables[-1].numpy()) == pytest.approx(optimum[2], rel=0.03)
    assert bounds[0] < exact.mean() - 3
