"""Encoders and decoders by family. A network is a function of its `NetworkSpec` and nothing else."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

import keras
import numpy as np
from keras import layers

from vae_search.config import Config
from vae_search.data.task import ImageShape

CONV_KERNEL = 4  # with stride 2, a multiple of the stride: no checkerboard in the transposed convolutions
CONV_DENSE_UNITS = 256


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An encoder and a decoder.

    encoder: images (batch, height, width, channels) -> mean, raw log-variance, each (batch, latent_dim)
    decoder: latents (batch, latent_dim) -> logits (batch, height, width, channels)
    """

    spec: NetworkSpec
    encoder: keras.Model
    decoder: keras.Model

    @property
    def variables(self) -> list[keras.Variable]:
        """All weights, encoder first, in the order they were built."""
        return [*self.encoder.trainable_variables, *self.decoder.trainable_variables]

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        return sum(int(prod(variable.shape)) for variable in self.variables)

    @property
    def names(self) -> list[str]:
        """One name per weight, in the order of `variables`; the same in every process, unlike Keras's own paths."""
        return [
            f"{model.name}/{position:02d}-{variable.name}"
            for model in (self.encoder, self.decoder)
            for position, variable in enumerate(model.trainable_variables)
        ]


def build(spec: NetworkSpec) -> Network:
    """Build the network of `spec`. Its weights are placeholders until `initial_weights` are assigned."""
    encoder, decoder = FAMILIES[spec.architecture](spec)
    return Network(spec=spec, encoder=encoder, decoder=decoder)


def initial_weights(network: Network, *, seed: int, mean_image: np.ndarray) -> list[np.ndarray]:
    """Fresh weights, in the order of `network.variables`: a pure function of the seed.

    Kernels are Glorot uniform (Glorot & Bengio 2010, eq. 16), biases zero, and the last bias is the logit of the
    data's mean image, clipped to [0.001, 0.999] as in the IWAE reference code: it saves the first epochs.

    Args:
        mean_image: (height, width, channels), mean intensity of the training images in [0, 1].
    """
    rng = np.random.default_rng(seed)
    weights = []
    for variable in network.variables:
        shape = tuple(variable.shape)
        if len(shape) == 1:
            weights.append(np.zeros(shape, np.float32))
            continue
        receptive_field = prod(shape[:-2])
        limit = np.sqrt(6.0 / (receptive_field * (shape[-2] + shape[-1])))
        weights.append(rng.uniform(-limit, limit, shape).astype(np.float32))
    clipped = np.clip(mean_image.astype(np.float64), 0.001, 0.999)
    logit = np.log(clipped) - np.log1p(-clipped)
    last = weights[-1]  # one value per pixel in dense decoders, one per channel in convolutional ones
    per_pixel = last.size == mean_image.size
    weights[-1] = (logit.ravel() if per_pixel else logit.mean(axis=(0, 1))).astype(np.float32)
    return weights


def forward_flops(network: Network) -> int:
    """Multiply-adds × 2 of one image through encoder and decoder; element-wise work excluded."""
    return sum(_layer_flops(layer) for model in (network.encoder, network.decoder) for layer in model.layers)


def _layer_flops(layer: layers.Layer) -> int:
    if isinstance(layer, layers.Dense):
        return 2 * int(prod(layer.kernel.shape))
    if isinstance(layer, layers.Conv2DTranspose):  # every input pixel meets the whole kernel
        return 2 * int(prod(layer.kernel.shape) * prod(layer.input.shape[1:3]))
    if isinstance(layer, layers.Conv2D):  # every output pixel does
        return 2 * int(prod(layer.kernel.shape) * prod(layer.output.shape[1:3]))
    return 0


class GatedLinearUnit(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """`linear * sigmoid(gate)` over the two halves of the last axis (Dauphin et al. 2017, eq. 1)."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        linear, gate = keras.ops.split(inputs, 2, axis=-1)
        return linear * keras.ops.sigmoid(gate)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        *outer, last = input_shape
        return (*outer, None if last is None else last // 2)


def _activated(layer: Callable[[int], layers.Layer], sizes: Iterable[int], activation: str) -> list[layers.Layer]:
    """`layer(size)` and its activation for each size in turn; a gated unit needs twice the outputs."""
    if activation == "gated":
        return [part for size in sizes for part in (layer(2 * size), GatedLinearUnit())]
    return [part for size in sizes for part in (layer(size), layers.Activation(activation))]


def _chain(inputs: keras.KerasTensor, stack: list[layers.Layer]) -> keras.KerasTensor:
    outputs = inputs
    for layer in stack:
        outputs = layer(outputs)
    return outputs


def _encoder(spec: NetworkSpec, stack: list[layers.Layer]) -> keras.Model:
    """Put the two separate heads on `stack`."""
    images = keras.Input(spec.image_shape, name="images")
    hidden = _chain(images, stack)
    mean = layers.Dense(spec.latent_dim, name="mean")(hidden)
    log_variance = layers.Dense(spec.latent_dim, name="log_variance")(hidden)
    return keras.Model(images, [mean, log_variance], name="encoder")


def _decoder(spec: NetworkSpec, stack: list[layers.Layer]) -> keras.Model:
    latents = keras.Input((spec.latent_dim,), name="latents")
    return keras.Model(latents, _chain(latents, stack), name="decoder")


def _dense(spec: NetworkSpec, widths: list[int]) -> tuple[keras.Model, keras.Model]:
    """A dense encoder with the hidden `widths` and its mirror image."""
    encoder = _encoder(spec, [layers.Flatten(), *_activated(layers.Dense, widths, spec.activation)])
    mirrored = _activated(layers.Dense, reversed(widths), spec.activation)
    output = [layers.Dense(prod(spec.image_shape), name="logits"), layers.Reshape(spec.image_shape)]
    return encoder, _decoder(spec, [*mirrored, *output])


def _mlp(spec: NetworkSpec) -> tuple[keras.Model, keras.Model]:
    """`depth` hidden layers of `width` units on either side."""
    return _dense(spec, [spec.width] * spec.depth)


def _pyramid(spec: NetworkSpec) -> tuple[keras.Model, keras.Model]:
    """Each hidden layer half as wide as the one before: width 128 and depth 2 is the classic 784-128-64."""
    return _dense(spec, [max(1, spec.width >> level) for level in range(spec.depth)])


def _conv(spec: NetworkSpec) -> tuple[keras.Model, keras.Model]:
    """`depth` strided convolutions, channels doubling from `width` on; any image size, by padding and cropping."""
    height, width, channels = spec.image_shape
    stride = 2**spec.depth
    bottom, right = -height % stride, -width % stride
    small = ((height + bottom) // stride, (width + right) // stride)
    stages = [spec.width << level for level in range(spec.depth)]

    def conv(filters: int) -> layers.Layer:
        return layers.Conv2D(filters, CONV_KERNEL, strides=2, padding="same")

    def transposed(filters: int) -> layers.Layer:
        return layers.Conv2DTranspose(filters, CONV_KERNEL, strides=2, padding="same")

    encoder = _encoder(
        spec,
        [
            layers.ZeroPadding2D(((0, bottom), (0, right))),
            *_activated(conv, stages, spec.activation),
            layers.Flatten(),
            *_activated(layers.Dense, [CONV_DENSE_UNITS], spec.activation),
        ],
    )
    decoder = _decoder(
        spec,
        [
            *_activated(layers.Dense, [CONV_DENSE_UNITS, prod(small) * stages[-1]], spec.activation),
            layers.Reshape((*small, stages[-1])),
            *_activated(transposed, reversed(stages[:-1]), spec.activation),
            layers.Conv2DTranspose(channels, CONV_KERNEL, strides=2, padding="same", name="logits"),
            layers.Cropping2D(((0, bottom), (0, right))),
        ],
    )
    return encoder, decoder


FAMILIES: dict[str, Callable[[NetworkSpec], tuple[keras.Model, keras.Model]]] = {
    "mlp": _mlp,
    "pyramid": _pyramid,
    "conv": _conv,
}
