"""The family of strided convolutions: `conv`, and the frame that it shares with `resnet`."""

from collections.abc import Callable
from math import prod

from vae_search.vae.networks.layers import STRIDE, Layer, activated
from vae_search.vae.networks.network_spec import NetworkSpec

CONV_DENSE_UNITS = 256


def conv(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """`depth` strided convolutions, channels doubling from `width` on; any image size, by padding and cropping."""
    return strided(spec, lambda _: [])


def strided(spec: NetworkSpec, within: Callable[[int], list[Layer]]) -> tuple[list[Layer], list[Layer]]:
    """`depth` stages, each of half the resolution and twice the channels of the one before.

    Args:
        within: the layers that a stage of so many channels has beside its strided convolution; they keep the shape.
    """
    height, width, channels = spec.image_shape
    stride = STRIDE**spec.depth
    bottom, right = -height % stride, -width % stride
    small = ((height + bottom) // stride, (width + right) // stride)
    stages = [spec.width << level for level in range(spec.depth)]
    encoder = [Layer("pad", detail=(bottom, right))]
    for stage in stages:
        encoder += [*activated("conv", [stage], spec.activation), *within(stage)]
    encoder += [Layer("flatten"), *activated("dense", [CONV_DENSE_UNITS], spec.activation)]
    decoder = [
        *activated("dense", [CONV_DENSE_UNITS, prod(small) * stages[-1]], spec.activation),
        Layer("reshape", detail=small),
    ]
    for stage in reversed(stages[1:]):
        decoder += [*within(stage), *activated("transposed_conv", [stage // 2], spec.activation)]
    decoder += [
        *within(stages[0]),
        Layer("transposed_conv", spec.outputs_per_value * channels),
        Layer("crop", detail=(height, width)),
    ]
    return encoder, decoder
