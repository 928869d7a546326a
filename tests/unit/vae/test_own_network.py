"""Own Keras networks: what they must put out, that they may have no state, and that ours are the same by this door."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.documented_code import lay_out
from tests.support.networks import KERAS_FAMILIES, binary, network_spec
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import Config
from vae_search.spec.own_code import code_loading
from vae_search.spec.own_code.code_loading import code_of, look_in
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE, model_files
from vae_search.vae.inference.scoring import scored
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.keras_models import decoder_model, encoder_model
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import BuiltNetwork, build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.networks.own import own_network
from vae_search.vae.objective.evaluation import Evaluator

pytestmark = pytest.mark.needs_tensorflow

NET = """
import keras
from keras import layers, ops

def build(image_shape, latent_dim, outputs_per_value, width=8):
    height, width_, channels = image_shape
    images = keras.Input(image_shape)
    x = layers.Dense(width, "tanh")(layers.Flatten()(images))
    encoder = keras.Model(images, [layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)])
    latents = keras.Input((latent_dim,))
    x = layers.Dense(width, "tanh")(latents)
    x = layers.Dense(height * width_ * channels * outputs_per_value)(x)
    return encoder, keras.Model(latents, layers.Reshape((height, width_, channels * outputs_per_value))(x))
"""
NOISY = "x = layers.Lambda(lambda each: each + keras.random.normal(ops.shape(each)))(x)\n    encoder ="
MIXED = "x = layers.Lambda(lambda each: each - ops.mean(each, axis=0))(x)\n    encoder ="


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was told of no code, and has built nothing."""
    monkeypatch.setattr(code_loading, "_places", {})
    monkeypatch.setattr(code_loading, "_provided", {})


def written(folder: Path, source: str = NET) -> None:
    (folder / "my_nets.py").write_text(source)
    look_in([folder])


def own_spec(*, likelihood: str = "bernoulli", shape: tuple[int, int, int] = (8, 8, 1), **arguments) -> NetworkSpec:
    config = Config.from_params({"architecture": "keras:my_nets:build", "latent_dim": 3, **arguments})
    return NetworkSpec.of(config, shape, likelihood=likelihood)


def fresh(network: BuiltNetwork, *, seed: int = 1, outputs: int = 1) -> list[np.ndarray]:
    return initial_weights(network, seed=seed, latent_free=np.zeros((1, 1, outputs), np.float32))


@pytest.mark.parametrize(
    ("source", "fragment"),
    [
        ("def build(image_shape, latent_dim, outputs_per_value): return 3", "It must return .encoder, decoder., two"),
        (NET.replace("return encoder,", "return encoder, encoder,"), "two Keras models, but returned .Functional, F"),
        (NET.replace("[layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)]", "x"), "must put out .mean, log_var"),
        (
            NET.replace("(layers.Dense(latent_dim)(x), ", "(layers.Dense(9)(x), ").replace(
                "[layers.Dense(latent_dim)(x), layers", "[layers.Dense(9)(x), layers"
            ),
            r"each \(None, 3\), but puts out \[\(None, 9\)",
        ),
        (
            NET.replace("channels * outputs_per_value))", "2))").replace("* outputs_per_value", "* 2"),
            r"must put out \(None, 8, 8, 1\)",
        ),
        (NET.replace("keras.Input(image_shape)", "keras.Input((4, 4, 1))"), r"the encoder must take \(None, 8, 8, 1\)"),
        (
            NET.replace(
                'x = layers.Dense(width, "tanh")(latents)', "x = layers.BatchNormalization(name='norm')(latents)"
            ),
            r"the decoder's layer norm \(BatchNormalization\) has state of its own",
        ),
        (
            NET.replace("encoder =", "x = layers.Dropout(0.1, name='drop')(x)\n    encoder ="),
            r"layer drop \(Dropout\) has random numbers of its own",
        ),
        (NET.replace("encoder =", NOISY), "keeps state or draws at random|has random numbers"),
        (NET.replace("encoder =", MIXED), "depends on the other images of its batch"),
        (
            NET.replace("encoder =", "x = layers.Dense(4, trainable=False, name='frozen')(x)\n    encoder ="),
            "layer frozen .Dense. has (state|weights that are not trained)",
        ),
        (NET.replace("encoder =", "x = x / 0.0\n    encoder ="), "puts out NaN or infinity with fresh weights"),
        (
            NET.replace("encoder =", "x = x + 0 * ops.stop_gradient(layers.Dense(8, name='idle')(x))\n    encoder ="),
            "weight idle/kernel has no effect",
        ),
        (NET.replace("return encoder", "1 / 0\n    return encoder"), "it fails: ZeroDivisionError"),
        ("import nowhere_to_be_found\n" + NET, "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_no_network_is_refused_with_the_reason(tmp_path, source, fragment):
    written(tmp_path, source)

    with pytest.raises(InvalidSpec, match=fragment) as caught:
        build(own_spec())

    assert "my_nets:build" in str(caught.value)


@pytest.mark.parametrize("architecture", KERAS_FAMILIES)
def test_a_network_of_ours_has_the_same_outputs_and_costs_by_this_door(monkeypatch, architecture):
    fields = {"image_shape": (13, 7, 1), "latent_dim": 3, "depth": 2, "width": 8, "activation": "relu"}
    ours = build(network_spec(architecture=architecture, **fields))
    monkeypatch.setattr(own_network, "_models", lambda spec, seed: (encoder_model(ours), decoder_model(ours)))
    spec = NetworkSpec.of_keras(
        "keras:a:b", image_shape=(13, 7, 1), latent_dim=3, likelihood="bernoulli", arguments=(), code=architecture
    )

    theirs = build(spec)

    weights = [tf.constant(each) for each in initial_weights(ours, seed=1, latent_free=np.zeros((13, 7, 1)))]
    images = tf.constant(binary(4), tf.float32)
    for first, second in zip(
        functions_of(ours.topology, weights).encoder(images),
        functions_of(theirs.topology, weights).encoder(images),
        strict=True,
    ):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert (theirs.shapes, theirs.parameters) == (ours.shapes, ours.parameters)
    assert (theirs.forward_flops, theirs.decoder_flops) == (ours.forward_flops, ours.decoder_flops)
    assert max(theirs.layer_outputs) >= max(ours.layer_outputs)


def test_operations_of_attention_are_counted(tmp_path):
    tokens, dim = 16, 8
    tokened = f"x = layers.Reshape(({tokens}, 4))(images)"
    attention = f"x = layers.Flatten()(layers.MultiHeadAttention(2, {dim // 2})(x, x))"
    written(tmp_path, NET.replace("encoder =", f"{tokened}\n    {attention}\n    encoder ="))

    network = build(own_spec())

    projections = 3 * tokens * 4 * dim + tokens * dim * 4
    products = 2 * tokens * tokens * dim  # of queries and keys, of scores and values
    heads = 2 * tokens * 4 * 3
    assert network.forward_flops - network.decoder_flops == 2 * (projections + products + heads)


def test_fresh_weights_are_a_function_of_the_seed_and_leave_other_random_streams_alone(tmp_path):
    written(tmp_path)
    network = build(own_spec())
    np.random.seed(5)  # noqa: NPY002 - the stream that Keras uses
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002

    first, again, other = (fresh(network, seed=seed) for seed in (1, 1, 2))

    assert np.random.rand() == expected  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_names_do_not_depend_on_what_was_built_before(tmp_path):
    written(tmp_path)
    names = build(own_spec()).names
    keras.layers.Dense(3).build((None, 2))
    own_network.own_network.cache_clear()

    assert build(own_spec()).names == names
    assert len({*names}) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("likelihood", "outputs"),
    [
        ("gaussian", 2),
        pytest.param("bernoulli", 1, marks=pytest.mark.exhaustive),
        pytest.param("discretized_logistic", 2, marks=pytest.mark.exhaustive),
    ],
)
def test_a_version_scores_the_same_from_its_savedmodel_without_the_code(tmp_path, monkeypatch, likelihood, outputs):
    written(tmp_path)
    network = build(own_spec(likelihood=likelihood, width=16))
    levels = 2 if likelihood == "bernoulli" else 17
    description = ModelDescription(network=network.spec, levels=levels, clamp=(-6.0, 2.0))
    weights = dict(zip(network.names, fresh(network, outputs=outputs), strict=True))
    images = np.random.default_rng(1).integers(0, levels, (40, 8, 8, 1)).astype(np.uint8)
    with_code = Evaluator.of(description).neg_elbo(network.ordered(weights), images)
    samples = VaeModel(description, weights).sample(3, seed=2)
    files = model_files(description, weights)
    monkeypatch.setattr(code_loading, "_places", {})
    own_network.own_network.cache_clear()

    model = VaeModel.from_version(files[CONFIG_FILE], files[WEIGHTS_FILE], saved_model=files)

    with pytest.raises(InvalidSpec, match="my_nets: no such module"):
        build(model.description.network)
    topology, given = scored(model.trained, model.description)
    np.testing.assert_allclose(Evaluator.of(description, topology).neg_elbo(given, images), with_code, rtol=1e-5)
    np.testing.assert_allclose(model.sample(3, seed=2), samples, atol=1e-6)
    assert ModelDescription.from_json(description.to_json()) == description


def test_a_trial_is_not_loaded_with_other_code_than_it_was_trained_with(tmp_path):
    written(tmp_path)
    network = build(own_spec())
    description = ModelDescription(network=network.spec, levels=2, clamp=(-6.0, 2.0))
    weights = dict(zip(network.names, fresh(network), strict=True))
    (tmp_path / "my_nets.py").write_text(NET.replace("tanh", "relu"))
    own_network.own_network.cache_clear()
    assert code_of("my_nets").identity.sha256 != description.network.code

    with pytest.raises(InvalidSpec, match="is not the code that this was trained with"):
        VaeModel(description, weights)


def test_the_code_of_the_guide_builds_what_its_page_says_in_five_lines_each(tmp_path, monkeypatch):
    lay_out(tmp_path, monkeypatch)
    families = (
        {"architecture": "rings", "squeeze": 4, "width": 16},
        {"architecture": "keras:my_nets:build", "width": 16},
    )

    networks = [
        build(NetworkSpec.of(Config.from_params({"latent_dim": 3, **params}), (13, 7, 3), likelihood="gaussian"))
        for params in families
    ]

    assert all(network.parameters > 0 for network in networks)
    assert "squeeze" in dict(networks[0].spec.special)
    lines = {
        path.name: [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "from"))]
        for path in tmp_path.glob("my_*.py")
    }
    assert {name: len(each) for name, each in lines.items()} == {"my_nets.py": 5, "my_family.py": 2, "my_layers.py": 5}
