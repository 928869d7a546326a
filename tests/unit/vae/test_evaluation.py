"""Evaluations cost what their images cost, and score each image as if its batch were full."""

from dataclasses import fields

import numpy as np
import pytest
import tensorflow as tf

from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.forward import WeightedNetwork
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective import evaluation_size
from vae_search.vae.objective.evaluation import Evaluation, Evaluator
from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH, HeldAtOnce, elbo_draws, held_at_once
from vae_search.vae.objective.likelihoods import likelihood_of

pytestmark = pytest.mark.needs_tensorflow

LEVELS = {"bernoulli": 2, "discretized_logistic": 256, "gaussian": 256}
MODELS = [
    ("mlp", "bernoulli", (8, 8, 1)),
    ("conv", "discretized_logistic", (9, 8, 3)),
    ("resnet", "gaussian", (8, 8, 1)),
    ("hvae", "bernoulli", (8, 8, 1)),
    ("hvae_conv", "discretized_logistic", (9, 8, 3)),
]
COUNTS = [150, EVALUATION_BATCH + 30]


def model(architecture: str, likelihood: str, shape: tuple[int, int, int]) -> tuple[Evaluator, list[np.ndarray]]:
    config = Config(architecture=architecture, latent_dim=4, depth=2, width=8)
    network = build(NetworkSpec.of(config, shape, likelihood=likelihood))
    rng = np.random.default_rng(3)
    weights = [rng.normal(0, 0.2, size).astype(np.float32) for size in network.shapes]
    explained = likelihood_of(likelihood, LEVELS[likelihood])
    return Evaluator(network.topology, shape, clamp=(-6.0, 2.0), likelihood=explained), weights


def images(count: int, levels: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(4).integers(0, levels, (count, *shape)).astype(np.uint8)


def filled_up(some: np.ndarray) -> np.ndarray:
    """Whole batches, the last filled up with the first images: what was evaluated until commit f001553."""
    whole = -(-len(some) // EVALUATION_BATCH) * EVALUATION_BATCH
    return some[np.arange(whole) % len(some)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("architecture", "likelihood", "shape"), MODELS)
def test_scores_are_those_of_whole_batches(architecture, likelihood, shape, count):
    evaluator, weights = model(architecture, likelihood, shape)
    some = images(count, LEVELS[likelihood], shape)

    found, whole = (evaluator.evaluate(weights, each, draws=12) for each in (some, filled_up(some)))
    bounds, whole_bounds = (evaluator.iwae(weights, each, 12) for each in (some, filled_up(some)))
    distortion, rate = evaluator.neg_elbo(weights, some, draws=12)

    for field in fields(Evaluation):
        expected = getattr(whole, field.name)[:count]
        np.testing.assert_allclose(getattr(found, field.name), expected, rtol=2e-6, atol=1e-6, err_msg=field.name)
    np.testing.assert_allclose(bounds, whole_bounds[:count], rtol=2e-6)
    assert distortion == pytest.approx(found.distortion.mean(dtype=np.float64), rel=1e-6)
    assert rate == pytest.approx(found.kl.sum(axis=1).mean(dtype=np.float64), rel=1e-5)


@pytest.mark.parametrize("count", COUNTS)
def test_no_more_images_are_decoded_than_there_are(count, monkeypatch):
    evaluator, weights = model(*MODELS[0])
    some = images(count, 2, MODELS[0][2])
    decoded, decoder = 0, WeightedNetwork.decoder

    def counted(network: WeightedNetwork, latents: tf.Tensor) -> tf.Tensor:
        nonlocal decoded
        decoded += latents.shape[0]
        return decoder(network, latents)

    monkeypatch.setattr(WeightedNetwork, "decoder", counted)

    evaluator.iwae(weights, some, 12)
    of_bounds, decoded = decoded, 0
    evaluator.evaluate(weights, some)

    assert of_bounds == 12 * count
    assert decoded == (elbo_draws(count) + 1) * count  # once more with the neighbours' latents


@pytest.mark.parametrize("room", [500 * 384 * 3, 130 * 384, 400])  # three draws of a batch, 125 images, one image
def test_a_batch_scored_in_parts_has_the_same_scores(room, monkeypatch):
    evaluator, weights = model(*MODELS[0])
    some = images(EVALUATION_BATCH + 7, 2, MODELS[0][2])
    if room == 400:
        some = some[:7]
    whole, bounds = evaluator.evaluate(weights, some, draws=12), evaluator.iwae(weights, some, 12)
    scores = evaluator.neg_elbo(weights, some, draws=12)
    monkeypatch.setattr(evaluation_size, "MOST_HELD", room)

    parts = evaluator.evaluate(weights, some, draws=12)

    for field in fields(Evaluation):
        expected = getattr(whole, field.name)
        np.testing.assert_allclose(getattr(parts, field.name), expected, rtol=2e-6, atol=1e-6, err_msg=field.name)
    np.testing.assert_allclose(evaluator.iwae(weights, some, 12), bounds, rtol=2e-6)
    assert evaluator.neg_elbo(weights, some, draws=12) == pytest.approx(scores, rel=1e-6)


def test_threads_that_score_different_images_change_no_bit():
    evaluator, weights = model(*MODELS[0])
    some = images(3 * EVALUATION_BATCH + 7, 2, MODELS[0][2])

    one, three = (evaluator.iwae(weights, some, 12, threads=threads) for threads in (1, 3))

    np.testing.assert_array_equal(one, three)


def test_no_layer_is_held_for_more_images_than_there_is_room_for():
    wide, grey = (64, 64, 3), (28, 28, 1)

    assert held_at_once(grey, 1, [512, 256, 784]) == HeldAtOnce(images=EVALUATION_BATCH, draws=10)
    assert held_at_once(grey, 1, [32 * 28 * 28, 784]) == HeldAtOnce(images=EVALUATION_BATCH, draws=5)
    assert held_at_once(wide, 2, [64 * 32 * 32, 24_576]) == HeldAtOnce(images=250, draws=1)
    assert held_at_once(wide, 1, [64 * 64 * 64, 12_288]) == HeldAtOnce(images=250, draws=1)
    assert held_at_once(wide, 1, [evaluation_size.MOST_HELD * 2, 12_288]) == HeldAtOnce(images=1, draws=1)


@pytest.mark.parametrize(("architecture", "likelihood", "shape"), MODELS)
def test_the_layers_of_given_weights_are_those_of_their_network(architecture, likelihood, shape):
    network = build(
        NetworkSpec.of(Config(architecture=architecture, latent_dim=4, depth=2, width=8), shape, likelihood=likelihood)
    )

    assert network.topology.layer_outputs(network.shapes, shape) == network.layer_outputs


def test_few_images_get_many_draws():
    assert [elbo_draws(count) for count in (1, 150, 1_000, 2_000, 4_000, 5_000, 60_000)] == [16, 16, 4, 2, 1, 1, 1]
