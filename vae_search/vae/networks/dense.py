"""The families of fully connected networks: `mlp` and `pyramid`."""

from math import prod

from vae_search.vae.networks.layers import Layer, activated
from vae_search.vae.networks.network_spec import NetworkSpec


def _dense(spec: NetworkSpec, widths: list[int]) -> tuple[list[Layer], list[Layer]]:
    """A dense encoder with the hidden `widths` and its mirror image."""
    height, width, _ = spec.image_shape
    encoder = [Layer("flatten"), *activated("dense", widths, spec.activation)]
    mirrored = activated("dense", reversed(widths), spec.activation)
    last = Layer("dense", spec.outputs_per_value * prod(spec.image_shape))
    return encoder, [*mirrored, last, Layer("reshape", detail=(height, width))]


def mlp(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """`depth` hidden layers of `width` units on either side."""
    return _dense(spec, [spec.width] * spec.depth)


def pyramid(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """Each hidden layer half as wide as the one before: width 128 and depth 2 is the classic 784-128-64."""
    return _dense(spec, [max(1, spec.width >> level) for level in range(spec.depth)])
