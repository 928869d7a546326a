"""Layers as plain descriptions: what there is, how large its weights are, and what it costs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

KERNEL, STRIDE = 4, 2  # the kernel a multiple of the stride: no checkerboard in the transposed convolutions

Kind = Literal["dense", "conv", "transposed_conv", "activation", "gated", "flatten", "reshape", "pad", "crop"]
WEIGHTED: tuple[Kind, ...] = ("dense", "conv", "transposed_conv")  # these have a kernel and a bias


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Args:
        size: units of a dense layer, filters of a convolution; of no interest to the others.
        detail: an activation's name; rows and columns that reshape and crop leave, or that pad adds.
    """

    kind: Kind
    size: int = 0
    detail: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """Shapes and cost of a layer that has weights, at its place in a network."""

    kernel: tuple[int, ...]
    bias: tuple[int]
    flops: int
    """multiply-adds × 2 of one image"""


def weights_along(layers: Sequence[Layer], shape: tuple[int, ...]) -> tuple[list[LayerWeights], tuple[int, ...]]:
    """The weights of the layers one after the other, and the shape that comes out; both shapes of one image."""
    found = []
    for layer in layers:
        match layer.kind:
            case "dense":
                (features,) = shape
                found.append(dense_weights(features, layer.size))
                shape = (layer.size,)
            case "conv":
                height, width, channels = shape
                kernel = (KERNEL, KERNEL, channels, layer.size)
                shape = (-(-height // STRIDE), -(-width // STRIDE), layer.size)
                flops = 2 * prod(kernel) * prod(shape[:2])  # every output pixel meets the whole kernel
                found.append(LayerWeights(kernel=kernel, bias=(layer.size,), flops=flops))
            case "transposed_conv":
                height, width, channels = shape
                kernel = (KERNEL, KERNEL, layer.size, channels)
                shape = (height * STRIDE, width * STRIDE, layer.size)
                flops = 2 * prod(kernel) * height * width  # every input pixel does
                found.append(LayerWeights(kernel=kernel, bias=(layer.size,), flops=flops))
            case "gated":
                shape = (*shape[:-1], shape[-1] // 2)
            case "flatten":
                shape = (prod(shape),)
            case "reshape":
                height, width = map(int, layer.detail)
                shape = (height, width, prod(shape) // (height * width))
            case "pad":
                bottom, right = map(int, layer.detail)
                shape = (shape[0] + bottom, shape[1] + right, shape[2])
            case "crop":
                height, width = map(int, layer.detail)
                shape = (height, width, shape[2])
            case "activation":
                pass
    return found, shape


def dense_weights(features: int, units: int) -> LayerWeights:
    return LayerWeights(kernel=(features, units), bias=(units,), flops=2 * features * units)


def activated(kind: Kind, sizes: Iterable[int], activation: str) -> list[Layer]:
    """A layer and its activation for each size in turn; a gated unit needs twice the outputs."""
    if activation == "gated":
        return [part for size in sizes for part in (Layer(kind, 2 * size), Layer("gated"))]
    return [part for size in sizes for part in (Layer(kind, size), Layer("activation", detail=(activation,)))]
