"""Bounds against truth from outside: SciPy's densities, quadrature over the latent, finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from tests.support.gradients import check_slopes
from vae_search.vae.networks.clamping import clamped
from vae_search.vae.networks.forward import WeightedNetwork
from vae_search.vae.networks.network import Network, build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.bounds import elbo_terms
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.likelihoods import Bernoulli
from vae_search.vae.objective.rates import gaussian_kl

pytestmark = pytest.mark.needs_tensorflow

CLAMP = (-6.0, 2.0)


@pytest.fixture(scope="module")
def network():
    """A decoder of one latent, with weights large enough that the posterior is far from the encoder's."""
    spec = NetworkSpec(architecture="mlp", image_shape=(4, 4, 1), latent_dim=1, depth=1, width=8, activation="tanh")
    return build(spec)


@pytest.fixture(scope="module")
def weights(network: Network) -> list[tf.Variable]:
    fresh = initial_weights(network, seed=3, latent_free=np.full((4, 4, 1), -0.4, np.float32))
    return [tf.Variable(1.5 * array) for array in fresh]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(4).integers(0, 2, (60, 4, 4, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def exact(network, weights, images):
    """log p(x) of each image, by Gauss–Hermite quadrature over the latent."""
    nodes, quadrature = special.roots_hermitenorm(200)
    functions = WeightedNetwork(topology=network.topology, weights=weights)
    logits = functions.decoder(nodes[:, None].astype(np.float32)).numpy().reshape(200, 16).astype(np.float64)
    pixels = images.reshape(60, 16)
    log_likelihood = pixels @ logits.T - np.logaddexp(0.0, logits).sum(axis=1)
    return special.logsumexp(log_likelihood + np.log(quadrature / np.sqrt(2 * np.pi)), axis=1)


def test_the_gaussian_kl_is_the_integral_that_it_stands_for():
    mean, log_variance = 0.7, -1.1
    posterior, prior = stats.norm(mean, np.exp(0.5 * log_variance)), stats.norm()
    expected, _ = integrate.quad(lambda z: posterior.pdf(z) * (posterior.logpdf(z) - prior.logpdf(z)), -8, 8)

    found = gaussian_kl(tf.constant([[mean]]), tf.constant([[log_variance]]))

    assert found.numpy()[0, 0] == pytest.approx(expected, rel=1e-5)


def test_the_bernoulli_distortion_is_scipys_log_probability():
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 30, (3, 4, 4, 1)).astype(np.float32)
    images = rng.integers(0, 2, (3, 4, 4, 1)).astype(np.float32)
    log_p = np.where(images == 1, special.log_expit(logits), special.log_expit(-logits))

    found = Bernoulli().distortion(tf.constant(images), tf.constant(logits)).numpy()

    np.testing.assert_allclose(found, -log_p.sum(axis=(1, 2, 3)), rtol=1e-5)


def test_the_elbo_and_the_importance_weighted_bound_stay_below_the_exact_likelihood(network, weights, images, exact):
    evaluator = Evaluator(network.topology, (4, 4, 1), clamp=CLAMP, likelihood=Bernoulli())
    elbo = -evaluator.evaluate(weights, images).neg_elbo
    bounds = {samples: evaluator.iwae(weights, images, samples) for samples in (1, 10, 100, 2000)}

    gaps = {samples: float(np.mean(exact - bound)) for samples, bound in bounds.items()}
    error = {samples: float(np.std(exact - bound) / np.sqrt(60)) for samples, bound in bounds.items()}

    assert float(np.mean(exact - elbo)) > 0
    assert all(gap > -3 * error[samples] for samples, gap in gaps.items())
    assert gaps[1] > gaps[10] > gaps[100]
    assert abs(gaps[2000]) < 0.02


def test_gradients_agree_with_finite_differences(network, weights, images):
    noise = tf.random.stateless_normal([60, 1], [1, 2])

    def objective() -> tf.Tensor:
        functions = WeightedNetwork(topology=network.topology, weights=weights)
        terms = elbo_terms(functions, tf.cast(images, tf.float32), noise, clamp=CLAMP, likelihood=Bernoulli())
        return tf.reduce_mean(terms.distortion + tf.reduce_sum(terms.kl, axis=1))

    check_slopes(objective, weights)


@pytest.mark.parametrize(
    ("raw", "upstream", "expected"),
    [
        (0.5, 1.0, 1.0),  # inside
        (0.5, -1.0, -1.0),
        (3.0, 1.0, 1.0),  # above: a step against it leads down, back inside
        (3.0, -1.0, 0.0),
        (-7.0, -1.0, -1.0),  # below: leads up
        (-7.0, 1.0, 0.0),
        (2.0, -1.0, -1.0),  # at a limit, as the plain clamp
        (-6.0, 1.0, 1.0),
    ],
)
def test_a_gradient_passes_the_clamp_unless_it_leads_further_out(raw, upstream, expected):
    value = tf.Variable([[raw]])

    with tf.GradientTape() as tape:
        found = clamped(value, CLAMP)
    gradient = tape.gradient(found, value, output_gradients=tf.constant([[upstream]]))

    np.testing.assert_array_equal(found.numpy(), np.clip([[np.float32(raw)]], *CLAMP))
    np.testing.assert_array_equal(gradient.numpy(), [[expected]])


def test_a_log_variance_outside_the_clamp_comes_back_by_descent():
    raw = tf.Variable([[5.0, -9.0]])

    for _ in range(500):
        with tf.GradientTape() as tape:
            kl = tf.reduce_sum(gaussian_kl(tf.zeros([1, 2]), clamped(raw, CLAMP)))
        raw.assign_sub(0.1 * tape.gradient(kl, raw))

    np.testing.assert_allclose(raw.numpy(), [[0.0, 0.0]], atol=0.01)  # where the prior is


def test_finite_differences_of_the_clamped_value_agree_where_it_is_not_at_a_limit():
    raw = np.array([[-5.9, -1.0, 0.3, 1.9]], np.float32)
    value, step = tf.Variable(raw), 1e-3

    with tf.GradientTape() as tape:
        kl = tf.reduce_sum(gaussian_kl(tf.zeros([1, 4]), clamped(value, CLAMP)))
    gradient = tape.gradient(kl, value).numpy()

    ends = [gaussian_kl(tf.zeros([1, 4]), clamped(tf.constant(raw + sign * step), CLAMP)).numpy() for sign in (1, -1)]
    np.testing.assert_allclose(gradient, (ends[0] - ends[1]) / (2 * step), rtol=2e-2, atol=1e-3)
