"""A described network as functions of given weights, so that one compiled graph serves networks of every size.

A graph that is traced from Keras models serves one size only. Here the layers run on weight tensors whose shapes are
known only when the graph does: another latent dimension or width then costs no tracing, which takes about as long as an
epoch of 10,000 images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import tensorflow as tf

from vae_search.vae.networks.layers import SCALE_PACE, STRIDE, Layer
from vae_search.vae.networks.network import HEAD_WEIGHTS, Topology

ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = MappingProxyType(
    {"tanh": tf.tanh, "relu": tf.nn.relu, "elu": tf.nn.elu, "gelu": tf.nn.gelu}
)

Tensors = Sequence[tf.Tensor | tf.Variable]


class OwnTopology(Protocol):
    """Topology of a Keras network of one's own, which this module need not know."""

    ranks: tuple[int, ...]

    def latent_dim(self, weights: Tensors) -> int:
        """Number of latents."""

    def functions(self, weights: Tensors) -> "VaeFunctions":
        """Both directions, with these weights."""

    def layer_outputs(self, shapes: Sequence[tuple[int, ...]], image_shape: tuple[int, int, int]) -> list[int]:
        """See `Topology.layer_outputs`."""


AnyTopology = Topology | OwnTopology


class VaeFunctions(Protocol):
    """Both directions of a variational autoencoder.

    encoder: images (batch, height, width, channels) -> mean, raw log-variance, each (batch, latent_dim)
    decoder: latents (batch, latent_dim) -> the likelihood's parameters (batch, height, width, outputs · channels)
    """

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]: ...

    def decoder(self, latents: tf.Tensor) -> tf.Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedNetwork:
    """A topology with weights, in the order of `Network.shapes`: `VaeFunctions`."""

    topology: Topology
    weights: Tensors

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights = iter(self.weights)
        hidden = _run(self.topology.encoder, images, weights)
        return _dense(hidden, weights), _dense(hidden, weights)

    def decoder(self, latents: tf.Tensor) -> tf.Tensor:
        return _run(self.topology.decoder, latents, iter(self.weights[self.topology.first_head + HEAD_WEIGHTS :]))


def functions_of(topology: AnyTopology, weights: Tensors) -> VaeFunctions:
    """Both directions of a network with these weights, in the order of its shapes."""
    if isinstance(topology, Topology):
        return WeightedNetwork(topology=topology, weights=weights)
    return topology.functions(weights)


def latent_dim_of(topology: AnyTopology, weights: Tensors) -> tf.Tensor | int:
    """Number of latents of a network with these weights, known only when a described network's graph runs."""
    if isinstance(topology, Topology):
        return tf.shape(weights[topology.first_head + 1])[0]
    return topology.latent_dim(weights)


def _run(layers: Sequence[Layer], inputs: tf.Tensor, weights: Iterator[tf.Tensor]) -> tf.Tensor:
    outputs, kept = inputs, list[tf.Tensor]()
    for layer in layers:
        match layer.kind:
            case "fork":
                kept.append(outputs)
            case "add":
                # Not `+`: its gradient would look at both shapes, which are known only when the graph runs.
                outputs = tf.add_n([kept.pop(), outputs])
            case _:
                outputs = _apply(layer, outputs, weights)
    return outputs


def _apply(layer: Layer, inputs: tf.Tensor, weights: Iterator[tf.Tensor]) -> tf.Tensor:
    match layer.kind, layer.detail:
        case "dense", _:
            return _dense(inputs, weights)
        case "conv", _:
            return tf.nn.bias_add(tf.nn.conv2d(inputs, next(weights), STRIDE, "SAME"), next(weights))
        case "same_conv", _:
            return tf.nn.bias_add(tf.nn.conv2d(inputs, next(weights), 1, "SAME"), next(weights))
        case "transposed_conv", _:
            kernel = tf.convert_to_tensor(next(weights))
            batch, height, width, _ = tf.unstack(tf.shape(inputs))
            shape = [batch, height * STRIDE, width * STRIDE, tf.shape(kernel)[2]]
            return tf.nn.bias_add(tf.nn.conv2d_transpose(inputs, kernel, shape, STRIDE, "SAME"), next(weights))
        case "activation", (name,):
            return ACTIVATIONS[str(name)](inputs)
        case "gated", _:
            linear, gate = tf.split(inputs, 2, axis=-1)
            return linear * tf.sigmoid(gate)
        case "flatten", _:
            return tf.reshape(inputs, [tf.shape(inputs)[0], -1])
        case "reshape", (height, width):
            return tf.reshape(inputs, [tf.shape(inputs)[0], height, width, -1])
        case "pad", (bottom, right):
            return tf.pad(inputs, [[0, 0], [0, bottom], [0, right], [0, 0]])
        case "crop", (height, width):
            return inputs[:, :height, :width]
        case "shared_scale", _:
            scale = SCALE_PACE * tf.convert_to_tensor(next(weights))
            return tf.concat([inputs, tf.broadcast_to(scale, tf.shape(inputs))], axis=-1)
        case _:
            raise ValueError(f"unknown layer {layer}")


def _dense(inputs: tf.Tensor, weights: Iterator[tf.Tensor]) -> tf.Tensor:
    return tf.nn.bias_add(tf.matmul(inputs, next(weights)), next(weights))
