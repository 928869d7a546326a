"""Two levels of latents against what is known from elsewhere: Gaussians in closed form, sums over a grid of latents."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.support.gradients import check_slopes
from tests.support.networks import binary, description, far_from_linear
from vae_search.spec.hyperparameters import Config
from vae_search.vae.inference.latent_units import moved_units
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalNetwork
from vae_search.vae.networks.hierarchy.weighted_hierarchy import PRIOR_LIMITS
from vae_search.vae.networks.layers import SCALE_PACE, Layer
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.bounds import elbo_terms, log_importance_weights, posterior, posterior_given
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.importance_ladder import ladder_of
from vae_search.vae.objective.likelihoods import Bernoulli
from vae_search.vae.objective.pixel_likelihoods import Gaussian
from vae_search.vae.objective.pixels import as_intensities
from vae_search.vae.objective.rates import sample_posterior

pytestmark = pytest.mark.needs_tensorflow

CLAMP = (-20.0, 20.0)
SHAPE, LEVELS, IMAGES = (2, 3, 1), 256, 60
WITHIN_LEVEL = 1 / (12 * LEVELS**2)
TINY = {"architecture": "hvae", "image_shape": (4, 4, 1), "latent_dim": 2, "depth": 1, "width": 8, "activation": "tanh"}


def linear_hierarchy() -> HierarchicalNetwork:
    """Each conditional distribution linear in what it is given: 6 pixels, one latent in either level."""
    spec = NetworkSpec(
        architecture="hvae",
        image_shape=SHAPE,
        latent_dim=2,
        depth=1,
        width=1,
        activation="relu",
        likelihood="gaussian",
    )
    decoder = (Layer("dense", 6), Layer("reshape", detail=SHAPE[:2]), Layer("shared_scale"))
    return HierarchicalNetwork(
        spec=spec, encoder=(Layer("flatten"),), decoder=decoder, lower_posterior=(), lower_prior=()
    )


class LinearGaussian:
    """z2 ~ N(0, 1), z1 ~ N(a z2 + b, s²), y ~ N(u z2 + w z1 + μ, σ²), and what follows for y and the latents."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.slope, self.shift, self.spread = 0.8, -0.4, 0.6
        self.of_upper, self.of_lower = rng.normal(0, 0.05, 6), rng.normal(0, 0.08, 6)
        self.mean, self.sigma = np.full(6, 0.5), 0.04
        # In (z2, e), both standard normal: z1 = a z2 + b + s e.
        self.loadings = np.stack([self.of_upper + self.slope * self.of_lower, self.spread * self.of_lower], axis=1)
        self.centre = self.mean + self.shift * self.of_lower
        self.covariance = self.loadings @ self.loadings.T + self.sigma**2 * np.eye(6)
        upper = rng.standard_normal(IMAGES)
        lower = self.slope * upper + self.shift + self.spread * rng.standard_normal(IMAGES)
        values = np.outer(upper, self.of_upper) + np.outer(lower, self.of_lower) + self.mean
        self.pixels = np.floor((values + rng.normal(0, self.sigma, (IMAGES, 6))) * LEVELS).astype(np.uint8)
        self.middles = (self.pixels + 0.5) / LEVELS

    @property
    def images(self) -> tf.Tensor:
        return as_intensities(tf.constant(self.pixels.reshape(IMAGES, *SHAPE)), LEVELS)

    @property
    def log_likelihood(self) -> np.ndarray:
        """E_u[log p(y)] - 6 · log 256 of every image, as in `test_linear_vae`."""
        within = 0.5 * WITHIN_LEVEL * np.trace(np.linalg.inv(self.covariance))
        logs = stats.multivariate_normal(self.centre, self.covariance).logpdf(self.middles)
        return logs - within - 6 * np.log(LEVELS)

    def weights(self) -> list[tf.Tensor]:
        """The model, with its exact posterior, which a posterior of independent latents would miss."""
        precision = np.eye(2) + self.loadings.T @ self.loadings / self.sigma**2
        covariance = np.linalg.inv(precision)
        gain = covariance @ self.loadings.T / self.sigma**2  # both means are gain · (y - centre)
        pull = -precision[0, 1] / precision[1, 1]  # of z2 on the mean of e: e | y, z2 has precision[1, 1]
        lower = self.loadings[:, 1] / self.sigma**2 / precision[1, 1]
        assert abs(covariance[0, 1]) > 0.3 * np.sqrt(covariance[0, 0] * covariance[1, 1])
        shrink, shift = (LEVELS - 1) / LEVELS, 0.5 / LEVELS  # intensities v / 255 of the middle y
        arrays = [
            shrink * gain[:1].T,
            [(shift - self.centre) @ gain[0]],
            np.zeros((6, 1)),
            [np.log(covariance[0, 0])],
            np.concatenate([shrink * lower, [pull]])[:, None],
            [(shift - self.centre) @ lower],
            np.zeros((7, 1)),
            [-np.log(precision[1, 1])],
            [[self.slope]],
            [self.shift],
            [[0.0]],
            [2 * np.log(self.spread)],
            np.stack([self.of_upper, self.of_lower]),
            self.mean,
            [np.log(self.sigma) / SCALE_PACE],
        ]
        return [tf.constant(array, tf.float32) for array in arrays]


@pytest.fixture(scope="module")
def linear() -> LinearGaussian:
    return LinearGaussian()


def test_with_the_exact_posterior_every_importance_weight_is_the_exact_likelihood(linear):
    functions = functions_of(linear_hierarchy().topology, linear.weights())
    noise = tf.random.stateless_normal([5, IMAGES, 2], [1, 2])

    found = log_importance_weights(functions, linear.images, noise, clamp=CLAMP, likelihood=Gaussian(levels=LEVELS))

    np.testing.assert_allclose(found, np.tile(linear.log_likelihood, (5, 1)), rtol=1e-4, atol=3e-3)


def test_with_the_exact_posterior_the_elbo_is_the_exact_likelihood_by_every_way(linear):
    network, exact = linear_hierarchy(), linear.log_likelihood
    images = linear.pixels.reshape(IMAGES, *SHAPE)
    evaluator = Evaluator(network.topology, SHAPE, clamp=CLAMP, likelihood=Gaussian(levels=LEVELS))

    found = evaluator.evaluate(linear.weights(), images, draws=400)
    distortion, rate = evaluator.neg_elbo(linear.weights(), images, draws=400)

    error = 3 * np.std(exact + found.neg_elbo) / np.sqrt(IMAGES)
    assert -found.neg_elbo.mean() == pytest.approx(exact.mean(), abs=error)
    assert error < 0.05
    assert distortion + rate == pytest.approx(found.neg_elbo.mean(), rel=1e-5)
    np.testing.assert_allclose(evaluator.iwae(linear.weights(), images, 3), exact, rtol=1e-4, atol=3e-3)


@pytest.fixture(scope="module")
def tiny() -> tuple[ModelDescription, dict[str, np.ndarray]]:
    """A model in miniature, with one latent in either level."""
    described = replace(description(**TINY), clamp=(-6.0, 2.0))
    return described, far_from_linear(described)


@pytest.fixture(scope="module")
def bound(tiny) -> np.ndarray:
    """IWAE-2000 of 40 images."""
    described, trained = tiny
    return Evaluator.of(described).iwae([*trained.values()], binary(40, (4, 4, 1)), 2000)


def grid_likelihood(ordered: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """log p(x) by sums over (z2, z1) in NumPy: z1 itself, with its density given z2."""
    (first, first_bias, mean, mean_bias, spread, spread_bias), (hidden, hidden_bias, last, last_bias) = (
        [array.astype(np.float64) for array in part] for part in (ordered[-10:-4], ordered[-4:])
    )
    upper, lower = np.linspace(-6, 6, 121), np.linspace(-14, 14, 561)
    inner = np.tanh(upper[:, None] @ first + first_bias)
    deviation = np.exp(0.5 * np.clip(inner @ spread + spread_bias, *PRIOR_LIMITS))
    log_prior = stats.norm(inner @ mean + mean_bias, deviation).logpdf(lower) + stats.norm.logpdf(upper)[:, None]
    both = np.stack(np.meshgrid(upper, lower, indexing="ij"), axis=-1).reshape(-1, 2)
    logits = np.tanh(both @ hidden + hidden_bias) @ last + last_bias
    pixels = images.reshape(len(images), -1).astype(np.float64)
    log_joint = pixels @ logits.T - np.logaddexp(0.0, logits).sum(axis=1) + log_prior.reshape(-1)
    return special.logsumexp(log_joint, axis=1) + np.log((upper[1] - upper[0]) * (lower[1] - lower[0]))


def test_bounds_rise_to_the_likelihood_of_a_sum_over_the_latents_and_stay_below(tiny, bound):
    described, trained = tiny
    images, ordered = binary(40, (4, 4, 1)), [*trained.values()]
    exact, evaluator = grid_likelihood(ordered, images), Evaluator.of(described)

    bounds = {samples: evaluator.iwae(ordered, images, samples) for samples in (1, 20)} | {2000: bound}
    elbo = -evaluator.evaluate(ordered, images, draws=200).neg_elbo

    gaps = {samples: float(np.mean(exact - bound)) for samples, bound in bounds.items()}
    assert gaps[1] > gaps[20] > gaps[2000]
    assert float(np.mean(exact - elbo)) > 0.1
    assert abs(gaps[2000]) < 0.01


def test_draws_from_the_prior_weigh_as_much_as_those_from_the_posterior(tiny, bound):
    """Importance sampling with another proposal: p(z) itself, whose weights are p(x|z) alone."""
    described, trained = tiny
    images, ordered = binary(40, (4, 4, 1)), [*trained.values()]
    functions = functions_of(build(described.network).topology, ordered)
    latents = tf.random.stateless_normal([20_000, 2], [3, 4])
    logits = functions.decoder(latents).numpy().reshape(-1, 16).astype(np.float64)
    log_p = images.reshape(40, 16) @ logits.T - np.logaddexp(0.0, logits).sum(axis=1)
    by_prior = special.logsumexp(log_p, axis=1) - np.log(20_000)

    assert bound.mean() == pytest.approx(by_prior.mean(), abs=0.05)


def test_the_rate_is_the_mean_of_the_log_ratio(tiny):
    described, trained = tiny
    images, ordered = binary(40, (4, 4, 1)), [*trained.values()]
    functions = functions_of(build(described.network).topology, ordered)
    noise = tf.random.stateless_normal([4000, 40, 2], [3, 4])
    settings = {"clamp": described.clamp, "likelihood": Bernoulli()}
    seen = tf.cast(images, tf.float32)
    mean, log_variance, _ = posterior(functions, seen, described.clamp, noise)
    latents = sample_posterior(mean, log_variance, noise).numpy()
    ratio = stats.norm(mean, np.exp(0.5 * log_variance)).logpdf(latents) - stats.norm.logpdf(latents)

    found = Evaluator.of(described).evaluate(ordered, images, draws=400)

    np.testing.assert_allclose(found.rates.mean(axis=0), ratio.mean(axis=(0, 1)), rtol=0.02, atol=0.01)
    terms = elbo_terms(functions, seen, noise[0], **settings)
    np.testing.assert_allclose(terms.latents, latents[0], rtol=1e-5, atol=1e-6)
    assert found.kl.shape == found.mean.shape == (40, 2)


def test_gradients_agree_with_finite_differences():
    network = build(NetworkSpec(**TINY))
    images = tf.cast(binary(40, (4, 4, 1)), tf.float32)
    fresh = initial_weights(network, seed=3, latent_free=np.full((4, 4, 1), -0.4, np.float32))
    rng = np.random.default_rng(5)  # no log variance meets the clamp, whose gradient leads back inside
    variables = [tf.Variable(array + rng.normal(0, 0.1, array.shape).astype(np.float32)) for array in fresh]
    noise = tf.random.stateless_normal([40, 2], [1, 2])

    def objective() -> tf.Tensor:
        functions = functions_of(network.topology, variables)
        terms = elbo_terms(functions, images, noise, clamp=(-6.0, 2.0), likelihood=Bernoulli())
        return tf.reduce_mean(terms.distortion + tf.reduce_sum(terms.kl, axis=1))

    check_slopes(objective, variables)


def test_a_fresh_network_has_independent_standard_normal_priors():
    network = build(NetworkSpec(**(TINY | {"latent_dim": 5})))
    fresh = initial_weights(network, seed=3, latent_free=np.zeros((4, 4, 1), np.float32))
    functions = functions_of(network.topology, fresh)
    latents = tf.random.stateless_normal([6, 5], [1, 2])
    plain = build(NetworkSpec(**(TINY | {"latent_dim": 5, "architecture": "mlp"})))
    as_plain = [*(np.zeros(shape, np.float32) for shape in plain.shapes[:-4]), *fresh[-4:]]

    np.testing.assert_array_equal(functions.decoder(latents), functions_of(plain.topology, as_plain).decoder(latents))


def test_shapes_of_an_odd_number_of_latents_and_the_cost_of_each_product():
    network = build(NetworkSpec(**(TINY | {"latent_dim": 5, "width": 8})))

    kernels = [shape for shape in network.shapes if len(shape) == 2]

    upper, lower = 2, 3
    encoder = [(16, 8), (8, upper), (8, upper), (8 + upper, 8), (8, lower), (8, lower)]
    assert kernels == [*encoder, (upper, 8), (8, lower), (8, lower), (5, 8), (8, 16)]
    assert network.forward_flops == 2 * sum(rows * columns for rows, columns in kernels)
    assert network.decoder_flops == 2 * sum(rows * columns for rows, columns in kernels[3:])
    assert network.topology.layer_outputs(network.shapes, (4, 4, 1)) == network.layer_outputs


def test_the_upper_level_changes_the_lower_ones_posterior(tiny):
    described, trained = tiny
    functions = functions_of(build(described.network).topology, [*trained.values()])
    given = posterior_given(functions, tf.cast(binary(3, (4, 4, 1)), tf.float32), described.clamp)
    noise = np.zeros((2, 3, 2), np.float32)
    noise[1, :, 0] = 2.0

    mean, log_variance, raw = given(tf.constant(noise))
    at_mean = given(None)

    np.testing.assert_array_equal(mean[0], at_mean[0])
    np.testing.assert_array_equal(raw[0], at_mean[2])
    np.testing.assert_array_equal(mean[1, :, 0], mean[0, :, 0])
    assert np.abs(mean[1, :, 1] - mean[0, :, 1]).min() > 1e-3
    assert np.abs(log_variance[1, :, 1] - log_variance[0, :, 1]).min() > 1e-3


def test_a_mixture_may_be_the_prior_of_a_row_of_latents():
    described = description(**(TINY | {"prior": "mixture", "prior_components": 3}))
    described = replace(described, clamp=(-6.0, 2.0))
    trained, images = far_from_linear(described), binary(30, (4, 4, 1))
    model, ordered = VaeModel(described, trained), [*trained.values()]
    latents = model.prior.sample(20_000, 1)
    logits = model.decoder(latents).numpy().reshape(-1, 16).astype(np.float64)
    log_p = images.reshape(30, 16) @ logits.T - np.logaddexp(0.0, logits).sum(axis=1)
    by_prior = special.logsumexp(log_p, axis=1) - np.log(20_000)
    evaluator = Evaluator.of(described)

    bound = evaluator.iwae(ordered, images, 2000)
    scores = evaluator.neg_elbo(ordered, images)

    assert bound.mean() == pytest.approx(by_prior.mean(), abs=0.05)
    assert sum(scores) == pytest.approx(evaluator.evaluate(ordered, images).neg_elbo.mean(), rel=1e-5)
    assert sum(scores) > -bound.mean()


@pytest.mark.parametrize(
    "changes", [{"latent_dim": 1}, {"prior": "vamp", "prior_components": 3}], ids=["one latent", "vamp"]
)
def test_what_two_levels_cannot_have_is_refused(changes):
    with pytest.raises(ValueError, match="hvae must have 2 latents at least, and no prior vamp"):
        NetworkSpec(**(TINY | changes))


def test_the_ladder_and_pictures_of_units_need_nothing_of_their_own(tiny):
    described, trained = tiny
    images, ordered = binary(40, (4, 4, 1)), [*trained.values()]
    exact = grid_likelihood(ordered, images)

    steps = ladder_of(ordered, build(described.network).topology, described, images, (5, 500))
    units = moved_units(VaeModel(described, trained), images.astype(np.float32))

    assert steps[0].neg_iwae > steps[1].neg_iwae
    assert -steps[1].neg_iwae == pytest.approx(exact.mean(), abs=0.1)
    assert units.images.shape[2:] == (4, 4, 1)
    assert {*units.units} <= {0, 1}


def test_training_learns_and_says_nothing_of_a_mixture_of_posteriors(trainer, plan):
    run = trainer.start(
        Config(architecture="hvae", latent_dim=8, depth=1, width=32, batch_size=32, learning_rate=3e-3), plan, seed=1
    )

    values = [run.train_epoch().neg_elbo for _ in range(4)]
    scores = run.scores()

    assert values[0] > values[1] > values[3]
    assert len(scores.kl_per_dimension) == 8
    assert sum(scores.kl_per_dimension) == pytest.approx(scores.rate, rel=1e-4)
    assert (scores.mutual_information, scores.marginal_kl) == (None, None)
