"""Encoders and decoders by family, as plain descriptions: what layers there are, and how large their weights.

A network is a function of its `NetworkSpec` and nothing else. `forward.py` runs the description on given weights,
`keras_models.py` makes Keras models of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType
from typing import Literal

import numpy as np

from vae_search.config import Config
from vae_search.data.task import ImageShape

KERNEL, STRIDE = 4, 2  # the kernel a multiple of the stride: no checkerboard in the transposed convolutions
CONV_DENSE_UNITS = 256
MEAN_LIMITS = (0.001, 0.999)  # of a pixel's mean before its logit is taken, as in the IWAE reference code

Kind = Literal["dense", "conv", "transposed_conv", "activation", "gated", "flatten", "reshape", "pad", "crop"]
WEIGHTED: tuple[Kind, ...] = ("dense", "conv", "transposed_conv")  # these have a kernel and a bias
HEAD_WEIGHTS = 4  # kernel and bias of mean and of log-variance


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """All that shapes a network's weights; equal specs have interchangeable weights."""

    architecture: str
    image_shape: ImageShape
    latent_dim: int
    depth: int
    width: int
    activation: str

    @classmethod
    def of(cls, config: Config, image_shape: ImageShape) -> "NetworkSpec":
        return cls(
            architecture=config.architecture,
            image_shape=image_shape,
            latent_dim=config.latent_dim,
            depth=config.depth,
            width=config.width,
            activation=config.activation,
        )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What is left of a network when the sizes of its weights are taken away; equal topologies share a graph.

    Args:
        ranks: of each weight, in the order of `Network.shapes`.
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    ranks: tuple[int, ...]

    @property
    def first_head(self) -> int:
        """Position of the mean head's kernel among the weights; its bias and the log-variance head's pair follow."""
        return 2 * sum(layer.kind in WEIGHTED for layer in self.encoder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An encoder with two separate heads, and a decoder.

    encoder: images (batch, height, width, channels) -> what both heads see
    decoder: latents (batch, latent_dim) -> (batch, height, width, channels)
    """

    spec: NetworkSpec
    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]

    @property
    def encoder_weights(self) -> list[LayerWeights]:
        """Of the encoder's layers, then of the mean head, then of the log-variance head."""
        found, (features,) = _weights_along(self.encoder, self.spec.image_shape)
        head = _dense_weights(features, self.spec.latent_dim)
        return [*found, head, head]

    @property
    def decoder_weights(self) -> list[LayerWeights]:
        return _weights_along(self.decoder, (self.spec.latent_dim,))[0]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of all weights: encoder first, each layer's kernel before its bias."""
        layers = [*self.encoder_weights, *self.decoder_weights]
        return [shape for layer in layers for shape in (layer.kernel, layer.bias)]

    @property
    def names(self) -> list[str]:
        """One name per weight, in the order of `shapes`; the same in every process."""
        return [
            f"{part}/{position:02d}-{'bias' if position % 2 else 'kernel'}"
            for part, layers in (("encoder", self.encoder_weights), ("decoder", self.decoder_weights))
            for position in range(2 * len(layers))
        ]

    def ordered(self, weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Named weights in the order of `shapes`.

        Raises:
            ValueError: Names or shapes are not the network's.
        """
        expected = dict(zip(self.names, self.shapes, strict=True))
        found = {name: array.shape for name, array in weights.items()}
        if expected != found:
            wrong = sorted({*expected.items()} ^ {*found.items()})[:4]
            raise ValueError(f"weights must have the network's names and shapes, but differ in {wrong}")
        return [weights[name] for name in expected]

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        return sum(prod(shape) for shape in self.shapes)

    @property
    def forward_flops(self) -> int:
        """Multiply-adds × 2 of one image through encoder and decoder; element-wise work excluded."""
        return sum(layer.flops for layer in (*self.encoder_weights, *self.decoder_weights))

    @property
    def topology(self) -> Topology:
        return Topology(
            encoder=tuple(replace(layer, size=0) for layer in self.encoder),
            decoder=tuple(replace(layer, size=0) for layer in self.decoder),
            ranks=tuple(len(shape) for shape in self.shapes),
        )


def build(spec: NetworkSpec) -> Network:
    """The network of `spec`."""
    encoder, decoder = FAMILIES[spec.architecture](spec)
    return Network(spec=spec, encoder=tuple(encoder), decoder=tuple(decoder))


def initial_weights(network: Network, *, seed: int, mean_image: np.ndarray) -> list[np.ndarray]:
    """Fresh weights, in the order of `network.shapes`: a pure function of the seed.

    Kernels are Glorot uniform (Glorot & Bengio 2010, eq. 16), biases zero, and the last bias is the logit of the
    data's mean image, clipped to `MEAN_LIMITS`: it saves the first epochs.

    Args:
        mean_image: (height, width, channels), mean intensity of the training images in [0, 1].
    """
    rng = np.random.default_rng(seed)
    weights = []
    for shape in network.shapes:
        if len(shape) == 1:
            weights.append(np.zeros(shape, np.float32))
            continue
        receptive_field = prod(shape[:-2])
        limit = np.sqrt(6.0 / (receptive_field * (shape[-2] + shape[-1])))
        weights.append(rng.uniform(-limit, limit, shape).astype(np.float32))
    clipped = np.clip(mean_image.astype(np.float64), *MEAN_LIMITS)
    logit = np.log(clipped) - np.log1p(-clipped)
    last = weights[-1]  # one value per pixel in dense decoders, one per channel in convolutional ones
    per_pixel = last.size == mean_image.size
    weights[-1] = (logit.ravel() if per_pixel else logit.mean(axis=(0, 1))).astype(np.float32)
    return weights


def _weights_along(layers: Sequence[Layer], shape: tuple[int, ...]) -> tuple[list[LayerWeights], tuple[int, ...]]:
    """The weights of the layers one after the other, and the shape that comes out; both shapes of one image."""
    found = []
    for layer in layers:
        match layer.kind:
            case "dense":
                (features,) = shape
                found.append(_dense_weights(features, layer.size))
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


def _dense_weights(features: int, units: int) -> LayerWeights:
    return LayerWeights(kernel=(features, units), bias=(units,), flops=2 * features * units)


def _activated(kind: Kind, sizes: Iterable[int], activation: str) -> list[Layer]:
    """A layer and its activation for each size in turn; a gated unit needs twice the outputs."""
    if activation == "gated":
        return [part for size in sizes for part in (Layer(kind, 2 * size), Layer("gated"))]
    return [part for size in sizes for part in (Layer(kind, size), Layer("activation", detail=(activation,)))]


def _dense(spec: NetworkSpec, widths: list[int]) -> tuple[list[Layer], list[Layer]]:
    """A dense encoder with the hidden `widths` and its mirror image."""
    height, width, _ = spec.image_shape
    encoder = [Layer("flatten"), *_activated("dense", widths, spec.activation)]
    mirrored = _activated("dense", reversed(widths), spec.activation)
    return encoder, [*mirrored, Layer("dense", prod(spec.image_shape)), Layer("reshape", detail=(height, width))]


def _mlp(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """`depth` hidden layers of `width` units on either side."""
    return _dense(spec, [spec.width] * spec.depth)


def _pyramid(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """Each hidden layer half as wide as the one before: width 128 and depth 2 is the classic 784-128-64."""
    return _dense(spec, [max(1, spec.width >> level) for level in range(spec.depth)])


def _conv(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """`depth` strided convolutions, channels doubling from `width` on; any image size, by padding and cropping."""
    height, width, channels = spec.image_shape
    stride = STRIDE**spec.depth
    bottom, right = -height % stride, -width % stride
    small = ((height + bottom) // stride, (width + right) // stride)
    stages = [spec.width << level for level in range(spec.depth)]
    encoder = [
        Layer("pad", detail=(bottom, right)),
        *_activated("conv", stages, spec.activation),
        Layer("flatten"),
        *_activated("dense", [CONV_DENSE_UNITS], spec.activation),
    ]
    decoder = [
        *_activated("dense", [CONV_DENSE_UNITS, prod(small) * stages[-1]], spec.activation),
        Layer("reshape", detail=small),
        *_activated("transposed_conv", reversed(stages[:-1]), spec.activation),
        Layer("transposed_conv", channels),
        Layer("crop", detail=(height, width)),
    ]
    return encoder, decoder


FAMILIES: Mapping[str, Callable[[NetworkSpec], tuple[list[Layer], list[Layer]]]] = MappingProxyType(
    {"mlp": _mlp, "pyramid": _pyramid, "conv": _conv}
)
