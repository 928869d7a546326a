"""The layers on given weights against Keras's own, and one graph against many sizes."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.networks import FAMILIES, KERAS_FAMILIES, network_spec
from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.forward import WeightedNetwork, functions_of, in_bfloat16
from vae_search.vae.networks.keras_models import decoder_model, encoder_model
from vae_search.vae.networks.network import Network, build, initial_weights
from vae_search.vae.objective.likelihoods import Bernoulli

pytestmark = pytest.mark.needs_tensorflow

ACTIVATIONS = ["tanh", "relu", "elu", "gelu", "gated"]
SHAPES = [(8, 8, 1), (13, 7, 3), (28, 28, 1)]


def combinations() -> list[Any]:
    """All 60; 20 of them, in which every two values meet, are the quick tier's."""
    return [
        pytest.param(
            activation,
            architecture,
            image_shape,
            marks=[] if (first + second) % len(SHAPES) == third else [pytest.mark.exhaustive],
        )
        for first, activation in enumerate(ACTIVATIONS)
        for second, architecture in enumerate(KERAS_FAMILIES)
        for third, image_shape in enumerate(SHAPES)
    ]


def latent_free_of(network: Network) -> np.ndarray:
    dark = PixelStatistics.of(
        Images(pixels=np.full((5, *network.spec.image_shape), 70, np.uint8), scale=255.0), levels=2
    )
    return Bernoulli().latent_free(network.biased_alike(dark))


def network_of(**changes) -> Network:
    fields = {"architecture": "mlp", "image_shape": (13, 7, 3), "latent_dim": 5, "depth": 2, "width": 8}
    return build(network_spec(**(fields | {"activation": "relu"} | changes)))


@pytest.mark.parametrize(("activation", "architecture", "image_shape"), combinations())
def test_every_family_takes_images_of_any_size_and_computes_what_keras_does(architecture, activation, image_shape):
    network = network_of(architecture=architecture, activation=activation, image_shape=image_shape, depth=3, width=32)
    fresh = initial_weights(network, seed=1, latent_free=latent_free_of(network))
    weights = [array + 0.1 for array in fresh]  # so that no bias is zero
    images = np.random.default_rng(2).random((4, *image_shape), np.float32)
    encoder, decoder = encoder_model(network), decoder_model(network)
    encoder.set_weights(weights[: len(encoder.weights)])
    decoder.set_weights(weights[len(encoder.weights) :])

    functions = WeightedNetwork(topology=network.topology, weights=[tf.constant(array) for array in weights])
    mean, log_variance = functions.encoder(tf.constant(images))
    logits = functions.decoder(mean)

    expected_mean, expected_log_variance = encoder(images)
    assert logits.shape == (4, *image_shape)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_variance, expected_log_variance, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, decoder(expected_mean), rtol=1e-4, atol=1e-4)
    assert not np.array_equal(mean, log_variance)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_sizes_are_no_part_of_a_topology(architecture):
    small, large = (
        network_of(architecture=architecture, width=width, latent_dim=latents).topology
        for width, latents in ((8, 3), (16, 7))
    )

    assert small == large
    assert hash(small) == hash(large)


def test_depth_blocks_activation_and_family_are_part_of_a_topology():
    variants = [
        {},
        {"depth": 3},
        {"activation": "elu"},
        {"activation": "gated"},
        {"architecture": "conv"},
        {"architecture": "resnet"},
        {"architecture": "resnet", "blocks": 3},
        {"architecture": "resnet", "depth": 3},
        {"architecture": "hvae"},
        {"architecture": "hvae_conv"},
        {"architecture": "hvae_conv", "depth": 3},
    ]

    assert len({network_of(**changes).topology for changes in variants}) == len(variants)


@pytest.mark.parametrize(("architecture", "widths"), [("mlp", (16, 24)), ("resnet", (4, 6)), ("hvae_conv", (4, 6))])
def test_trials_of_other_sizes_train_on_the_same_graph(architecture, widths, trainer, plan):
    configs = [
        Config(architecture=architecture, latent_dim=latents, width=width, batch_size=batch, activation="elu")
        for latents, width, batch in ((3, widths[0], 64), (9, widths[1], 100))
    ]
    alone = [trainer.start(config, plan, seed=4).train_epoch().neg_elbo for config in configs]

    runs = [trainer.start(config, plan, seed=4) for config in reversed(configs)]
    assert runs[0]._graph is runs[1]._graph
    assert runs[0]._graph._epoch.experimental_get_tracing_count() == 1

    again = [trainer.start(config, plan, seed=4).train_epoch().neg_elbo for config in reversed(configs)]
    assert again == list(reversed(alone))


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_fresh_residual_network_computes_what_it_would_without_its_blocks(activation):
    residual, plain = (network_of(architecture=name, activation=activation) for name in ("resnet", "conv"))
    fresh = initial_weights(residual, seed=1, latent_free=latent_free_of(residual))
    pairs = list(zip(fresh[::2], fresh[1::2], strict=True))
    kept = [array for kernel, bias in pairs if kernel.shape[:2] != (3, 3) for array in (kernel, bias)]
    images = np.random.default_rng(2).random((4, 13, 7, 3), np.float32)

    with_blocks, without = (
        WeightedNetwork(topology=network.topology, weights=[tf.constant(array) for array in weights])
        for network, weights in ((residual, fresh), (plain, kept))
    )
    mean, _ = with_blocks.encoder(images)
    logits = with_blocks.decoder(mean)

    assert len(pairs) - len(kept) // 2 == 2 * 2 * 2 * 2  # encoder and decoder, two stages, two blocks of two
    np.testing.assert_array_equal(mean, without.encoder(images)[0])
    np.testing.assert_array_equal(logits, without.decoder(mean))
    changed = [array if np.any(array) else array + 0.1 for array in fresh]
    moved, _ = WeightedNetwork(topology=residual.topology, weights=[tf.constant(a) for a in changed]).encoder(images)
    assert not np.allclose(mean, moved)


def test_products_in_bfloat16_round_operands_and_result_once_each_and_sum_in_float32():
    left, right = (np.random.default_rng(seed).normal(size=(64, 64)).astype(np.float32) for seed in (1, 2))

    found = in_bfloat16(tf.matmul, left, right)

    rounded = [tf.cast(tf.cast(each, tf.bfloat16), tf.float64).numpy() for each in (left, right)]
    exact, half_a_step = rounded[0] @ rounded[1], 2.0**-8
    assert found.dtype == tf.float32
    assert np.abs(found.numpy() - exact).max() <= half_a_step * np.abs(exact).max() + 1e-4
    assert np.array_equal(found.numpy(), tf.cast(tf.cast(found, tf.bfloat16), tf.float32).numpy())


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_network_in_bfloat16_computes_nearly_the_same_and_hands_on_float32(architecture):
    network = network_of(architecture=architecture, width=32)
    weights = [array + 0.01 for array in initial_weights(network, seed=1, latent_free=latent_free_of(network))]
    images = np.random.default_rng(2).random((4, 13, 7, 3), np.float32)
    exact, rounded = (
        functions_of(network.topology, weights, precision=precision) for precision in ("float32", "bfloat16")
    )

    pairs = [*zip(exact.encoder(images), rounded.encoder(images), strict=True)]
    latents = exact.encoder(images)[0]
    pairs.append((exact.decoder(latents), rounded.decoder(latents)))

    for expected, found in pairs:
        assert found.dtype == tf.float32
        assert not np.array_equal(found, expected)
        assert np.abs(found - expected).max() < 0.05 * (1 + np.abs(expected).max())
