"""The family of strided convolutions: `conv`."""

from math import prod

from vae_search.vae.layers import STRIDE, Layer, activated
from vae_search.vae.network_spec import NetworkSpec

CONV_DENSE_UNITS = 256


def conv(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """`depth` strided convolutions, channels doubling from `width` on; any image size, by padding and cropping."""
    height, width, channels = spec.image_shape
    stride = STRIDE**spec.depth
    bottom, right = -height % stride, -width % stride
    small = ((height + bottom) // stride, (width + right) // stride)
    stages = [spec.width << level for level in range(spec.depth)]
    encoder = [
        Layer("pad", detail=(bottom, right)),
        *activated("conv", stages, spec.activation),
        Layer("flatten"),
        *activated("dense", [CONV_DENSE_UNITS], spec.activation),
    ]
    decoder = [
        *activated("dense", [CONV_DENSE_UNITS, prod(small) * stages[-1]], spec.activation),
        Layer("reshape", detail=small),
        *activated("transposed_conv", reversed(stages[:-1]), spec.activation),
        Layer("transposed_conv", channels),
        Layer("crop", detail=(height, width)),
    ]
    return encoder, decoder
