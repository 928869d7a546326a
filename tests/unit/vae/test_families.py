"""Every family of networks that a spec may name has layers, and every one that has layers may be named."""

from dataclasses import fields

import pytest

from tests.support.networks import network_spec
from vae_search.spec.hyperparameters import ARCHITECTURES, RULES, Config, families_with
from vae_search.spec.hyperparameters import FAMILIES as NAMED
from vae_search.vae.networks.families import FAMILIES as BUILT
from vae_search.vae.networks.network_spec import NetworkSpec

pytestmark = pytest.mark.needs_tensorflow


def test_every_family_that_a_spec_may_name_has_layers():
    missing = set(NAMED) - set(BUILT)

    assert not missing, f"vae/networks/families.py builds no {', '.join(sorted(missing))}"


def test_every_family_with_layers_may_be_named_in_a_spec():
    unknown = set(BUILT) - set(NAMED)

    assert not unknown, f"FAMILIES in spec/hyperparameters.py lacks {', '.join(sorted(unknown))}"


def test_special_parameters_of_families_have_rules_and_reach_the_network():
    special = {name for names in NAMED.values() for name in names}

    assert special <= set(RULES)
    assert special <= {field.name for field in fields(NetworkSpec)}


def test_a_parameter_without_families_of_its_own_belongs_to_all():
    assert families_with("width") == ARCHITECTURES


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_network_has_exactly_the_special_parameters_of_its_family(architecture: str):
    spec = NetworkSpec.of(Config(architecture=architecture), (8, 8, 1), likelihood="bernoulli")

    assert (spec.blocks is not None) == ("blocks" in NAMED[architecture])


def test_a_family_without_blocks_refuses_them():
    with pytest.raises(ValueError, match="resnet must have `blocks`"):
        network_spec(
            architecture="mlp", image_shape=(8, 8, 1), latent_dim=2, depth=1, width=4, activation="relu", blocks=1
        )
