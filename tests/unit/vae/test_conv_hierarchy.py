"""Convolutions with two levels of latents, beside Keras models of one level, sums over a grid and a hand count."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.support.gradients import check_slopes
from tests.support.networks import binary, description, far_from_linear, weights
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalNetwork
from vae_search.vae.networks.hierarchy.weighted_hierarchy import PRIOR_LIMITS
from vae_search.vae.networks.keras_models import decoder_model, encoder_model
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import Network, build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.bounds import elbo_terms
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.likelihoods import Bernoulli

pytestmark = pytest.mark.needs_tensorflow

TINY = {
    "architecture": "hvae_conv",
    "image_shape": (4, 4, 1),
    "latent_dim": 2,
    "depth": 1,
    "width": 2,
    "activation": "tanh",
}
PRIOR_ARRAYS = 6  # of p(z1|z2): kernel and bias of the hidden layer, of the mean and of the log-variance


def one_level(network: HierarchicalNetwork, latents: int) -> Network:
    """The network of `conv` with the same sizes and so many latents."""
    return build(replace(network.spec, architecture="conv", latent_dim=latents))


def encoded_by_keras(network: HierarchicalNetwork, ordered: list[np.ndarray], images: np.ndarray) -> list[np.ndarray]:
    """Mean and raw log-variance of q(z2|x), by the Keras encoder of `conv` with the upper latents alone."""
    model = encoder_model(one_level(network, network.spec.latent_dim // 2))
    model.set_weights(ordered[: len(model.weights)])
    return [each.numpy() for each in model(images.astype(np.float32))]


def decoded_by_keras(network: HierarchicalNetwork, ordered: list[np.ndarray], latents: np.ndarray) -> np.ndarray:
    """The likelihood's parameters for z2 and z1 itself, by the Keras decoder of `conv`."""
    model = decoder_model(one_level(network, network.spec.latent_dim))
    model.set_weights(ordered[-len(model.weights) :])
    return model.predict(latents.astype(np.float32), batch_size=4096, verbose=0)


def lower_prior(
    network: HierarchicalNetwork, ordered: list[np.ndarray], upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """m and s of p(z1|z2) in NumPy, for activation tanh."""
    decoder = len(decoder_model(one_level(network, network.spec.latent_dim)).weights)
    first, first_bias, mean, mean_bias, spread, spread_bias = ordered[-decoder - PRIOR_ARRAYS : -decoder]
    hidden = np.tanh(upper @ first + first_bias)
    return hidden @ mean + mean_bias, np.exp(0.5 * np.clip(hidden @ spread + spread_bias, *PRIOR_LIMITS))


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (13, 7, 3)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized_logistic"])
def test_encoder_and_decoder_are_those_of_conv_with_the_lower_level_made_from_the_upper_one(image_shape, likelihood):
    described = description(
        **(TINY | {"image_shape": image_shape, "likelihood": likelihood, "latent_dim": 5, "depth": 2, "width": 4})
    )
    network, ordered = build(described.network), [*weights(described).values()]
    functions = functions_of(network.topology, ordered)
    images = np.random.default_rng(1).random((4, *image_shape), np.float32)
    latents = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    mean, spread = lower_prior(network, ordered, latents[:, :2])

    found_mean, found_raw = functions.encoder(images)
    decoded = functions.decoder(tf.constant(latents))

    expected = encoded_by_keras(network, ordered, images)
    np.testing.assert_allclose(found_mean[:, :2], expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found_raw[:, :2], expected[1], rtol=1e-4, atol=1e-4)
    both = np.concatenate([latents[:, :2], mean + spread * latents[:, 2:]], axis=1)
    np.testing.assert_allclose(decoded, decoded_by_keras(network, ordered, both), rtol=1e-3, atol=1e-3)
    assert decoded.shape[1:3] == image_shape[:2]


@pytest.fixture(scope="module")
def tiny() -> tuple[ModelDescription, list[np.ndarray]]:
    """A model in miniature, with one latent in either level."""
    described = replace(description(**TINY), clamp=(-6.0, 2.0))
    return described, [*far_from_linear(described).values()]


@pytest.fixture(scope="module")
def bound(tiny) -> np.ndarray:
    """IWAE-2000 of 40 images."""
    described, ordered = tiny
    return Evaluator.of(described).iwae(ordered, binary(40, (4, 4, 1)), 2000)


def log_given(logits: np.ndarray, images: np.ndarray) -> np.ndarray:
    """log p(x|z): (images, latents)."""
    logits = logits.reshape(len(logits), -1).astype(np.float64)
    pixels = images.reshape(len(images), -1).astype(np.float64)
    return pixels @ logits.T - np.logaddexp(0.0, logits).sum(axis=1)


def grid_likelihood(described: ModelDescription, ordered: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """log p(x) by sums over (z2, z1): z1 itself, with its density given z2, decoded by Keras."""
    network = build(described.network)
    upper = np.linspace(-6, 6, 121)
    mean, spread = lower_prior(network, ordered, upper[:, None])
    edge = float(np.abs(mean).max() + 6 * spread.max())
    lower = np.linspace(-edge, edge, 801)
    log_prior = stats.norm(mean, spread).logpdf(lower) + stats.norm.logpdf(upper)[:, None]
    both = np.stack(np.meshgrid(upper, lower, indexing="ij"), axis=-1).reshape(-1, 2)
    log_joint = log_given(decoded_by_keras(network, ordered, both), images) + log_prior.reshape(-1)
    return special.logsumexp(log_joint, axis=1) + np.log((upper[1] - upper[0]) * (lower[1] - lower[0]))


def test_bounds_rise_to_the_likelihood_of_a_sum_over_the_latents_and_stay_below(tiny, bound):
    described, ordered = tiny
    images = binary(40, (4, 4, 1))
    exact, evaluator = grid_likelihood(described, ordered, images), Evaluator.of(described)

    bounds = {samples: evaluator.iwae(ordered, images, samples) for samples in (1, 20)} | {2000: bound}
    elbo = -evaluator.evaluate(ordered, images, draws=200).neg_elbo

    gaps = {samples: float(np.mean(exact - each)) for samples, each in bounds.items()}
    assert gaps[1] > gaps[20] > gaps[2000]
    assert float(np.mean(exact - elbo)) > 0.1
    assert abs(gaps[2000]) < 0.01


def test_draws_from_the_prior_weigh_as_much_as_those_from_the_posterior(tiny, bound):
    """Importance sampling with another proposal: p(z) itself, whose weights are p(x|z) alone."""
    described, ordered = tiny
    network, images = build(described.network), binary(40, (4, 4, 1))
    rng = np.random.default_rng(3)
    upper, noise = rng.standard_normal((20_000, 1)), rng.standard_normal((20_000, 1))
    mean, spread = lower_prior(network, ordered, upper)
    drawn = np.concatenate([upper, mean + spread * noise], axis=1)
    by_prior = special.logsumexp(log_given(decoded_by_keras(network, ordered, drawn), images), axis=1) - np.log(20_000)

    assert bound.mean() == pytest.approx(by_prior.mean(), abs=0.05)


def test_gradients_agree_with_finite_differences():
    network = build(NetworkSpec(**TINY))
    images = tf.cast(binary(40, (4, 4, 1)), tf.float32)
    fresh = initial_weights(network, seed=3, latent_free=np.full((1, 1, 1), -0.4, np.float32))
    rng = np.random.default_rng(5)  # no log variance meets the clamp, whose gradient leads back inside
    variables = [tf.Variable(array + rng.normal(0, 0.03, array.shape).astype(np.float32)) for array in fresh]
    noise = tf.random.stateless_normal([40, 2], [1, 2])

    def objective() -> tf.Tensor:
        functions = functions_of(network.topology, variables)
        terms = elbo_terms(functions, images, noise, clamp=(-6.0, 2.0), likelihood=Bernoulli())
        return tf.reduce_mean(terms.distortion + tf.reduce_sum(terms.kl, axis=1))

    check_slopes(objective, variables)


@pytest.mark.parametrize("classes", [0, 3])
def test_parameters_and_cost_are_those_of_a_count_by_hand(classes):
    """Images of 8×8, 4 channels of 4×4 after one stage, 256 units on each way; 2 upper and 3 lower latents."""
    network = build(
        NetworkSpec(
            architecture="hvae_conv",
            image_shape=(8, 8, 1),
            latent_dim=5,
            depth=1,
            width=4,
            activation="relu",
            classes=classes,
        )
    )
    convolution, transposed = 4 * 4 * 1 * 4, 4 * 4 * 1 * 4
    features, seen = 64 * 256, 256 + classes
    posterior = 2 * seen * 2 + (seen + 2) * 256 + 2 * 256 * 3
    prior = (2 + classes) * 256 + 2 * 256 * 3
    decoder = (5 + classes) * 256 + 256 * 64
    biases = (4 + 256) + 2 * 2 + (256 + 2 * 3) + (256 + 2 * 3) + (256 + 64 + 1)

    assert network.parameters == convolution + features + posterior + prior + decoder + transposed + biases
    kernels_of_draws = (seen + 2) * 256 + 2 * 256 * 3 + prior + decoder + transposed * 16
    assert network.decoder_flops == 2 * kernels_of_draws
    assert network.forward_flops == 2 * (convolution * 16 + features + 2 * seen * 2 + kernels_of_draws)
    assert network.topology.layer_outputs(network.shapes, (8, 8, 1)) == network.layer_outputs


def test_gated_units_between_the_levels_are_as_many_as_the_encoder_ends_with():
    network = build(NetworkSpec(**(TINY | {"activation": "gated"})))

    assert [layer.size for layer in network.lower_posterior if layer.kind == "dense"] == [2 * 256]
    assert [layer.size for layer in network.lower_prior if layer.kind == "dense"] == [2 * 256]


def test_training_learns_and_says_nothing_of_a_mixture_of_posteriors(trainer, plan):
    config = Config(architecture="hvae_conv", latent_dim=8, depth=2, width=8, batch_size=32, learning_rate=3e-3)
    run = trainer.start(config, plan, seed=1)

    values = [run.train_epoch().neg_elbo for _ in range(4)]
    scores = run.scores()

    assert values[0] > values[1] > values[3]
    assert len(scores.kl_per_dimension) == 8
    assert sum(scores.kl_per_dimension) == pytest.approx(scores.rate, rel=1e-4)
    assert (scores.mutual_information, scores.marginal_kl) == (None, None)
    with pytest.raises(ValueError, match="hvae_conv trains the ELBO, but bound_samples is 4"):
        trainer.start(replace(config, bound_samples=4), plan, seed=1)
