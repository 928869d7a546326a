"""A described network as functions of given weights, so that one compiled graph serves networks of every size.

A graph that is traced from Keras models serves one size only. Here the layers run on weight tensors whose shapes are
known only when the graph does: another latent dimension or width then costs no tracing, which takes about as long as an
epoch of 10,000 images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import tensorflow as tf

from vae_search.spec.fields import Precision
from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalTopology
from vae_search.vae.networks.layers import SCALE_PACE, STRIDE, Layer
from vae_search.vae.networks.network import HEAD_WEIGHTS, Topology

ACTIVATIONS: Mapping[str, Callable[[tf.Tensor], tf.Tensor]] = MappingProxyType(
    {"tanh": tf.tanh, "relu": tf.nn.relu, "elu": tf.nn.elu, "gelu": tf.nn.gelu}
)

Tensors = Sequence[tf.Tensor | tf.Variable]
Product = Callable[..., tf.Tensor]
"""a product of some operands, such as `tf.matmul`, carried out in some precision"""


def in_float32(product: Product, *operands: Any, **settings: Any) -> tf.Tensor:
    """A product as it is."""
    return product(*operands, **settings)


def in_bfloat16(product: Product, *operands: Any, **settings: Any) -> tf.Tensor:
    """A product of operands rounded to bfloat16, 8 bits of mantissa; summed up in float32 and rounded once more.

    So are the gradient's products. Mixed precision as Micikevicius et al. (2018) describe it: weights, their updates
    and all that is no product stay float32; bfloat16 has float32's exponents, so that no loss has to be scaled.
    """
    rounded = [tf.cast(each, tf.bfloat16) for each in operands]
    return tf.cast(product(*rounded, **settings), tf.float32)


PRODUCTS: Mapping[Precision, Product] = MappingProxyType({"float32": in_float32, "bfloat16": in_bfloat16})


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
    labels: tf.Tensor | None = None
    """(batch,) of the images; None for a network that sees none"""
    precision: Precision = "float32"

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        weights, product = iter(self.weights), PRODUCTS[self.precision]
        hidden = self._labelled(run_layers(self.topology.encoder, images, weights, product))
        return dense_layer(hidden, weights, product), dense_layer(hidden, weights, product)

    def decoder(self, latents: tf.Tensor) -> tf.Tensor:
        weights = iter(self.weights[self.topology.first_head + HEAD_WEIGHTS :])
        return run_layers(self.topology.decoder, self._labelled(latents), weights, PRODUCTS[self.precision])

    def _labelled(self, rows: tf.Tensor) -> tf.Tensor:
        return with_label_units(rows, self.labels, self.topology.classes)


def functions_of(
    topology: AnyTopology, weights: Tensors, *, labels: tf.Tensor | None = None, precision: Precision = "float32"
) -> VaeFunctions:
    """Both directions of a network with these weights, in the order of its shapes.

    Args:
        labels: (batch,) of the images whose functions these are, of a conditional network; decoded latents are of one
            draw for each image, or of several, draw after draw.
        precision: of the products of a described network; Keras models of one's own say theirs themselves.
    """
    if isinstance(topology, HierarchicalTopology):
        return topology.functions(weights, labels=labels, precision=precision)
    if isinstance(topology, Topology):
        return WeightedNetwork(topology=topology, weights=weights, labels=labels, precision=precision)
    return topology.functions(weights)


def latent_dim_of(topology: AnyTopology, weights: Tensors) -> tf.Tensor | int:
    """Number of latents of a network with these weights, known only when a described network's graph runs."""
    if isinstance(topology, Topology):
        first, *lower = (tf.shape(weights[position])[0] for position in topology.mean_biases)
        return sum(lower, start=first)
    return topology.latent_dim(weights)


def is_conditional(topology: AnyTopology) -> bool:
    """True if the network sees labels."""
    return isinstance(topology, Topology) and topology.classes > 0


def with_label_units(rows: tf.Tensor, labels: tf.Tensor | None, classes: int) -> tf.Tensor:
    """Rows with the units of their labels behind; of several rows for each label, all labels come first once."""
    if labels is None:
        return rows
    units = tf.one_hot(labels, classes)
    return tf.concat([rows, tf.tile(units, [tf.shape(rows)[0] // tf.shape(units)[0], 1])], axis=1)


def run_layers(layers: Sequence[Layer], inputs: tf.Tensor, weights: Iterator[tf.Tensor], product: Product) -> tf.Tensor:
    """Layers one after the other; each takes its weights from those that are left."""
    outputs, kept = inputs, list[tf.Tensor]()
    for layer in layers:
        match layer.kind:
            case "fork":
                kept.append(outputs)
            case "add":
                # Not `+`: its gradient would look at both shapes, which are known only when the graph runs.
                outputs = tf.add_n([kept.pop(), outputs])
            case _:
                outputs = _apply(layer, outputs, weights, product)
    return outputs


def _apply(layer: Layer, inputs: tf.Tensor, weights: Iterator[tf.Tensor], product: Product) -> tf.Tensor:
    match layer.kind, layer.detail:
        case "dense", _:
            return dense_layer(inputs, weights, product)
        case ("conv" | "same_conv") as kind, _:
            strides = STRIDE if kind == "conv" else 1
            convolved = product(tf.nn.conv2d, inputs, next(weights), strides=strides, padding="SAME")
            return tf.nn.bias_add(convolved, next(weights))
        case "transposed_conv", _:
            kernel = tf.convert_to_tensor(next(weights))
            batch, height, width, _ = tf.unstack(tf.shape(inputs))
            shape = [batch, height * STRIDE, width * STRIDE, tf.shape(kernel)[2]]
            convolved = product(
                tf.nn.conv2d_transpose, inputs, kernel, output_shape=shape, strides=STRIDE, padding="SAME"
            )
            return tf.nn.bias_add(convolved, next(weights))
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


def dense_layer(inputs: tf.Tensor, weights: Iterator[tf.Tensor], product: Product) -> tf.Tensor:
    """One product with the next kernel, and the next bias."""
    return tf.nn.bias_add(product(tf.matmul, inputs, next(weights)), next(weights))
