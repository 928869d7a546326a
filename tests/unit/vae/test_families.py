"""Families of networks: declared without TensorFlow, ours and those of other packages through one door."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.networks import network_spec
from tests.support.plugins import LAYERS, RINGS, install
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import ARCHITECTURES, RULES, Config, families_with
from vae_search.spec.networks.family import BUILT_IN, NETWORK_PARAMETERS
from vae_search.spec.own_code.code_loading import code_of
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.weights_file import weights_file
from vae_search.vae.networks.families import layers_of
from vae_search.vae.networks.layers import ACTIVATION_NAMES, check_layers
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec

pytestmark = pytest.mark.needs_tensorflow


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_family_that_a_spec_may_name_has_layers_that_pass_the_check_of_those_from_elsewhere(architecture: str):
    spec = NetworkSpec.of(Config(architecture=architecture), (13, 7, 3), likelihood="discretized_logistic")

    encoder, decoder = layers_of(spec)

    check_layers(encoder, decoder, image_shape=(13, 7, 3), latent_dim=32, outputs_per_value=2)


def test_special_parameters_of_families_have_the_rules_and_defaults_of_a_config():
    special = {name: rule for family in BUILT_IN.values() for name, rule in family.parameters.items()}

    assert special == {name: RULES[name] for name in special}
    assert {name: rule.default for name, rule in special.items()} == {name: Config().value(name) for name in special}


def test_a_parameter_without_families_of_its_own_belongs_to_all():
    assert {families_with(name) for name in ("width", "beta", *NETWORK_PARAMETERS)} == {ARCHITECTURES}
    assert families_with("squeeze") == ()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_has_exactly_the_special_parameters_of_its_family(architecture: str):
    spec = NetworkSpec.of(Config(architecture=architecture), (8, 8, 1), likelihood="bernoulli")

    assert {name for name, _ in spec.special} == {*BUILT_IN[architecture].parameters}


def test_a_family_without_blocks_refuses_them():
    with pytest.raises(ValueError, match="resnet must have `blocks`"):
        network_spec(
            architecture="mlp", image_shape=(8, 8, 1), latent_dim=2, depth=1, width=4, activation="relu", blocks=1
        )


def test_an_activation_that_layers_may_name_is_one_that_graphs_can_run():
    from vae_search.vae.networks.forward import ACTIVATIONS

    assert {*ACTIVATION_NAMES} == {*ACTIVATIONS}


def rings_spec(**special) -> NetworkSpec:
    config = Config(architecture="rings", latent_dim=3, width=8, own=tuple(special.items()))
    return NetworkSpec.of(config, (8, 8, 1), likelihood="bernoulli")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        if name.startswith("ring_"):
            del sys.modules[name]


def test_a_family_from_elsewhere_gets_its_parameters_and_their_defaults(installed, monkeypatch):
    install(installed, monkeypatch)

    widths = [build(rings_spec(**given)).shapes[2] for given in ({}, {"squeeze": 4})]

    assert widths == [(8, 4), (8, 2)]


def test_the_layers_that_run_are_of_the_code_that_is_hashed_whatever_was_imported_before(installed, monkeypatch):
    install(installed, monkeypatch)
    importlib.import_module("ring_layers")  # as by some other package
    built = [build(rings_spec()).shapes[2]]
    before = code_of("ring_layers").identity.sha256

    (installed / "ring_layers.py").write_text(LAYERS.replace('spec["squeeze"]', '(2 * spec["squeeze"])'))
    built.append(build(rings_spec()).shapes[2])

    assert code_of("ring_layers").identity.sha256 != before
    assert built == [(8, 4), (8, 2)]


def test_a_model_of_a_family_from_elsewhere_runs_where_its_package_is_not_installed(installed, monkeypatch):
    with monkeypatch.context() as patch:
        install(installed, patch)
        network = build(rings_spec(squeeze=4))
        fresh = initial_weights(network, seed=1, latent_free=np.zeros((8, 8, 1)))
    description = ModelDescription(network=network.spec, levels=2, clamp=(-6.0, 2.0))
    weights = dict(zip(network.names, fresh, strict=True))

    model = VaeModel.from_version(description.to_json(), weights_file(weights))

    with pytest.raises(InvalidSpec, match="'rings' is unknown"):
        rings_spec()
    assert model.sample(2, seed=1).shape == (2, 8, 8, 1)
    assert ModelDescription.from_json(description.to_json()) == description


@pytest.mark.parametrize(
    ("layers", "fragment"),
    [
        ("def rings(spec): return 3", "must return two lists of layers, but returned a int"),
        ("def rings(spec): return [], []", "must end with one row of values"),
        ("def rings(spec, more): return [], []", "must be a function of one argument"),
        ("rings = 3", "must be a function of one argument"),
        ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError"),
        (LAYERS.replace('Layer("flatten"), ', ""), "the encoder's layers do not fit each other"),
        (LAYERS.replace("spec.outputs_per_value *", "2 *"), r"the decoder must put out \(8, 8, 1\), but puts out"),
        (LAYERS.replace('Layer("flatten")', 'Layer("flat")'), "must consist of layers of known kinds"),
        (LAYERS.replace("spec.activation", "'sine'"), "an activation must be one of tanh, relu, elu, gelu"),
    ],
)
def test_layers_that_are_no_autoencoder_are_refused_naming_the_package(installed, monkeypatch, layers, fragment):
    install(installed, monkeypatch, files={"ring_family.py": RINGS, "ring_layers.py": layers})

    with pytest.raises(InvalidSpec, match=fragment) as caught:
        build(rings_spec())

    assert "family rings of my-rings 0.1" in str(caught.value)


def test_a_file_cannot_ask_for_a_network_beyond_all_measure(installed, monkeypatch):
    install(installed, monkeypatch)
    described = ModelDescription(network=build(rings_spec()).spec, levels=2, clamp=(-6.0, 2.0)).to_json()
    huge = described.replace(b"64", b"1048577")

    with pytest.raises(ValueError, match="must have a size of 1 to"):
        ModelDescription.from_json(huge)
