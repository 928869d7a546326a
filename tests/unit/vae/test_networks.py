import numpy as np
import pytest
import tensorflow as tf

from tests.support.networks import KERAS_FAMILIES, network_spec
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.keras_models import decoder_model, encoder_model
from vae_search.vae.networks.network import build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec

pytestmark = pytest.mark.needs_tensorflow


def spec(**changes) -> NetworkSpec:
    fields = {
        "architecture": "mlp",
        "image_shape": (28, 28, 1),
        "latent_dim": 40,
        "depth": 2,
        "width": 300,
        "activation": "gated",
    }
    return network_spec(**(fields | changes))


def test_the_gated_reference_network_has_its_published_size():
    # vae_vampprior's single-layer VAE: 784-300-300-40, gated dense layers.
    assert build(spec()).parameters == 1_116_864


def test_the_iwae_reference_network_has_its_published_size():
    # yburda/iwae: 784-200-200-(50, 50) and its mirror image.
    assert build(spec(width=200, latent_dim=50, activation="tanh")).parameters == 425_284


def test_a_pyramid_halves_its_width_from_layer_to_layer():
    network = build(spec(architecture="pyramid", width=128, latent_dim=32, activation="relu"))

    kernels = [shape for shape in network.shapes if len(shape) == 2]

    assert kernels == [(784, 128), (128, 64), (64, 32), (64, 32), (32, 64), (64, 128), (128, 784)]


def test_fresh_weights_are_a_function_of_the_seed_and_start_at_what_needs_no_latents():
    network = build(spec(architecture="mlp", width=16, latent_dim=3, activation="relu"))
    logits = np.full((28, 28, 1), -1.3, np.float32)

    first, again, other = (initial_weights(network, seed=seed, latent_free=logits) for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(first[-1], logits.ravel())


def test_names_do_not_depend_on_what_was_built_before():
    names = [build(spec(architecture="conv", width=4, depth=2)).names for _ in range(2)]

    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def test_flops_of_a_dense_network_are_twice_its_kernels():
    network = build(spec(width=200, latent_dim=50, activation="tanh"))

    kernels = sum(int(np.prod(shape)) for shape in network.shapes if len(shape) == 2)

    assert network.forward_flops == 2 * kernels


def test_flops_of_a_convolution_count_every_output_pixel():
    network = build(spec(architecture="conv", image_shape=(8, 8, 1), depth=1, width=4, latent_dim=2, activation="relu"))

    encoder = 2 * (4 * 4 * 1 * 4 * 16 + 64 * 256 + 256 * 2 * 2)
    decoder = 2 * (2 * 256 + 256 * 64 + 4 * 4 * 4 * 1 * 16)

    assert network.forward_flops == encoder + decoder


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (13, 7, 3)])
@pytest.mark.parametrize("architecture", KERAS_FAMILIES)
def test_flops_and_parameters_are_those_that_tensorflow_counts(architecture, image_shape):
    network = build(spec(architecture=architecture, image_shape=image_shape, width=12, latent_dim=5, depth=3))
    models = encoder_model(network), decoder_model(network)

    assert network.parameters == sum(model.count_params() for model in models)
    assert network.forward_flops == sum(counted_flops(model) for model in models)


def counted_flops(model) -> int:
    """Of the products in the model's graph for one image, by TensorFlow's own profiler."""
    (shape,) = (tensor.shape for tensor in model.inputs)
    graph = tf.function(model).get_concrete_function(tf.TensorSpec([1, *shape[1:]], tf.float32)).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    profile = profiler.profile(graph, cmd="op", options=options)
    found, level = 0, profile
    while level.children:  # each operation is the child of the one with the next larger cost
        (level,) = level.children
        found += level.float_ops if level.name in ("Conv2D", "Conv2DBackpropInput", "MatMul") else 0
    return found


def test_a_resnet_is_the_conv_of_its_size_with_blocks_in_each_stage():
    fields = {"image_shape": (28, 28, 1), "width": 8, "depth": 2, "latent_dim": 5, "activation": "relu"}
    conv = build(spec(architecture="conv", **fields))

    one, two = (build(spec(architecture="resnet", blocks=blocks, **fields)) for blocks in (1, 2))

    kernels = 2 * (2 * 9 * 8 * 8 + 2 * 9 * 16 * 16)  # both sides; two convolutions in each of two stages
    assert one.parameters - conv.parameters == two.parameters - one.parameters == kernels + 2 * (2 * 8 + 2 * 16)
    pixels = 2 * (2 * 9 * 8 * 8 * 14 * 14 + 2 * 9 * 16 * 16 * 7 * 7)
    assert one.forward_flops - conv.forward_flops == two.forward_flops - one.forward_flops == 2 * pixels


def test_only_a_residual_network_has_blocks():
    shape = (8, 8, 1)

    assert NetworkSpec.of(Config(architecture="resnet", blocks=3), shape, likelihood="bernoulli")["blocks"] == 3
    assert NetworkSpec.of(Config(architecture="conv", blocks=3), shape, likelihood="bernoulli").special == ()
    with pytest.raises(ValueError, match="conv has 3"):
        spec(architecture="conv", blocks=3)
    with pytest.raises(ValueError, match="resnet has None"):
        spec(architecture="resnet", blocks=None)
