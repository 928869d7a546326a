"""Layers of the families with two levels of latents: `hvae` and `hvae_conv`."""

from vae_search.vae.networks.conv import conv
from vae_search.vae.networks.dense import mlp
from vae_search.vae.networks.layers import Layer, activated
from vae_search.vae.networks.network_spec import NetworkSpec


def hvae(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """The layers of `mlp`: its encoder has the upper level's heads, its decoder takes both levels."""
    return mlp(spec)


def hvae_conv(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """The layers of `conv`, with the same part for each; both levels are rows of latents, no maps."""
    return conv(spec)


def between_levels(spec: NetworkSpec, features: int) -> tuple[list[Layer], list[Layer]]:
    """Hidden layers of q(z1|x, z2) and of p(z1|z2): a dense one in each, of as many units as the encoder ends with."""
    return activated("dense", [features], spec.activation), activated("dense", [features], spec.activation)
