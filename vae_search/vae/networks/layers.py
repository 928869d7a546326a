"""Layers as plain descriptions: kind, size of the weights, cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

KERNEL, STRIDE = 4, 2  # the kernel a multiple of the stride: no checkerboard in the transposed convolutions
SAME_KERNEL = 3  # of the convolutions that keep the size; they have stride 1
ZERO = "zero"  # detail of a layer whose kernel starts at zero
# Adam moves every weight by about the learning rate in a step; a log scale has further to go than a kernel's entries.
SCALE_PACE = 10.0
# Of networks from elsewhere; no search of ours gets near.
MOST_LAYERS, MOST_UNITS, MOST_WEIGHTS = 1000, 2**20, 2**31
ACTIVATION_NAMES = ("tanh", "relu", "elu", "gelu")

Weighted = Literal["dense", "conv", "same_conv", "transposed_conv"]
Plain = Literal["activation", "gated", "flatten", "reshape", "pad", "crop", "fork", "add", "shared_scale"]
Kind = Weighted | Plain
WEIGHTED: tuple[Weighted, ...] = get_args(Weighted)  # these have a kernel and a bias


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    `fork` keeps what comes in for the next `add`, which adds it to what comes in there. `shared_scale` has one weight;
    it puts `SCALE_PACE` times that beside each value, as so many more channels.

    Args:
        size: units of a dense layer, filters of a convolution; of no interest to the others.
        detail: an activation's name; rows and columns that reshape and crop leave, or that pad adds; `ZERO`.
    """

    kind: Kind
    size: int = 0
    detail: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """Shapes and cost of a layer that has weights, at its place in a network.

    Args:
        kernel: None for `shared_scale`, whose one weight is its `bias`.
    """

    kernel: tuple[int, ...] | None
    bias: tuple[int]
    flops: int
    """multiply-adds × 2 of one image"""
    outputs: int
    """values that the layer puts out for one image"""
    starts_at_zero: bool = False
    """the kernel; all biases do"""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the layer's weights in their order, by role."""
        return {"scale": self.bias} if self.kernel is None else {"kernel": self.kernel, "bias": self.bias}


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
                found.append(LayerWeights(kernel=kernel, bias=(layer.size,), flops=flops, outputs=prod(shape)))
            case "same_conv":
                height, width, channels = shape
                kernel = (SAME_KERNEL, SAME_KERNEL, channels, layer.size)
                shape = (height, width, layer.size)
                flops = 2 * prod(kernel) * height * width
                zero = ZERO in layer.detail
                found.append(
                    LayerWeights(
                        kernel=kernel, bias=(layer.size,), flops=flops, outputs=prod(shape), starts_at_zero=zero
                    )
                )
            case "transposed_conv":
                height, width, channels = shape
                kernel = (KERNEL, KERNEL, layer.size, channels)
                shape = (height * STRIDE, width * STRIDE, layer.size)
                flops = 2 * prod(kernel) * height * width  # every input pixel does
                found.append(LayerWeights(kernel=kernel, bias=(layer.size,), flops=flops, outputs=prod(shape)))
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
            case "shared_scale":
                shape = (*shape[:-1], 2 * shape[-1])
                found.append(LayerWeights(kernel=None, bias=(1,), flops=0, outputs=prod(shape)))
            case "activation" | "fork" | "add":
                pass
    return found, shape


def dense_weights(features: int, units: int) -> LayerWeights:
    return LayerWeights(kernel=(features, units), bias=(units,), flops=2 * features * units, outputs=units)


def activated(kind: Kind, sizes: Iterable[int], activation: str) -> list[Layer]:
    """A layer and its activation for each size in turn; a gated unit needs twice the outputs."""
    if activation == "gated":
        return [part for size in sizes for part in (Layer(kind, 2 * size), Layer("gated"))]
    return [part for size in sizes for part in (Layer(kind, size), Layer("activation", detail=(activation,)))]


def check_layers(
    encoder: Sequence[Layer],
    decoder: Sequence[Layer],
    *,
    image_shape: tuple[int, int, int],
    latent_dim: int,
    outputs_per_value: int,
) -> None:
    """Refuse layers from elsewhere that are no autoencoder of these images.

    Raises:
        ValueError: Saying what must hold. One line, without a full stop.
    """
    height, width, channels = image_shape
    ends = {"encoder": (image_shape, None), "decoder": ((latent_dim,), (height, width, outputs_per_value * channels))}
    for (part, (begins, ends_as)), layers in zip(ends.items(), (encoder, decoder), strict=True):
        if len(layers) > MOST_LAYERS:
            raise ValueError(f"the {part} must have at most {MOST_LAYERS} layers, but has {len(layers):,}")
        for layer in layers:
            _check_layer(part, layer)
        if [layer.kind for layer in layers].count("fork") != [layer.kind for layer in layers].count("add"):
            raise ValueError(f"the {part} must have one `add` for each `fork`")
        try:
            weights, shape = weights_along(layers, begins)
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise ValueError(f"the {part}'s layers do not fit each other: {error}") from error
        if sum(prod(each) for layer in weights for each in layer.shapes.values()) > MOST_WEIGHTS:
            raise ValueError(f"the {part} must have at most {MOST_WEIGHTS:,} weights")
        if ends_as is None and len(shape) != 1:
            raise ValueError(
                f"the encoder must end with one row of values, after `flatten` or `dense`, but has {shape}"
            )
        if ends_as is not None and shape != ends_as:
            raise ValueError(f"the decoder must put out {ends_as}, but puts out {shape}")


def _check_layer(part: str, layer: Layer) -> None:
    if not isinstance(layer, Layer) or layer.kind not in (*WEIGHTED, *get_args(Plain)):
        raise ValueError(f"the {part} must consist of layers of known kinds, but has {layer!r:.80}")
    if layer.kind == "shared_scale":
        raise ValueError(f"the {part} must not have a `shared_scale`: the likelihood adds it")
    if type(layer.size) is not int or not (1 if layer.kind in WEIGHTED else 0) <= layer.size <= MOST_UNITS:
        raise ValueError(
            f"the {part}'s layer {layer.kind} must have a size of 1 to {MOST_UNITS:,}, not {layer.size!r:.40}"
        )
    if not isinstance(layer.detail, tuple) or any(type(each) not in (int, str) for each in layer.detail):
        raise ValueError(f"the {part}'s layer {layer.kind} must have a tuple as `detail`, not {layer.detail!r:.40}")
    if layer.kind == "activation" and (len(layer.detail) != 1 or layer.detail[0] not in ACTIVATION_NAMES):
        raise ValueError(f"an activation must be one of {', '.join(ACTIVATION_NAMES)}, not {layer.detail!r:.40}")
    places = {"reshape": 1, "crop": 1, "pad": 0}  # the least that each may name
    if layer.kind in places and not (
        len(layer.detail) == 2
        and all(type(each) is int and places[layer.kind] <= each <= MOST_UNITS for each in layer.detail)
    ):
        raise ValueError(f"a {layer.kind} must name rows and columns, not {layer.detail!r:.40}")
