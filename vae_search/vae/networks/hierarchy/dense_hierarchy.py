"""The family of dense networks with two levels of latents: `hvae`."""

from vae_search.vae.networks.dense import mlp
from vae_search.vae.networks.layers import Layer, activated
from vae_search.vae.networks.network_spec import NetworkSpec


def hvae(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """The layers of `mlp`: its encoder has the upper level's heads, its decoder takes both levels."""
    return mlp(spec)


def between_levels(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """Hidden layers of q(z1|x, z2) and of p(z1|z2): one of `width` units in each."""
    return activated("dense", [spec.width], spec.activation), activated("dense", [spec.width], spec.activation)
