import numpy as np

from vae_search.vae.networks import NetworkSpec, build, initial_weights


def spec(**changes) -> NetworkSpec:
    fields = {
        "architecture": "mlp",
        "image_shape": (28, 28, 1),
        "latent_dim": 40,
        "depth": 2,
        "width": 300,
        "activation": "gated",
    }
    return NetworkSpec(**(fields | changes))


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


def test_fresh_weights_are_a_function_of_the_seed_and_start_at_the_mean_image():
    network = build(spec(architecture="mlp", width=16, latent_dim=3, activation="relu"))
    mean_image = np.full((28, 28, 1), 0.2, np.float32)

    first, again, other = (initial_weights(network, seed=seed, mean_image=mean_image) for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_allclose(1 / (1 + np.exp(-first[-1])), 0.2, rtol=1e-5)


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
