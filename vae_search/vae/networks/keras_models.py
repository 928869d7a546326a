"""Keras models of a described network, to use, export and inspect a finished model."""

import keras
from keras import layers

from vae_search.vae.networks.layers import KERNEL, SAME_KERNEL, SCALE_PACE, STRIDE, Layer
from vae_search.vae.networks.network import Network


class GatedLinearUnit(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """`linear * sigmoid(gate)` over the two halves of the last axis (Dauphin et al. 2017, eq. 1)."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        linear, gate = keras.ops.split(inputs, 2, axis=-1)
        return linear * keras.ops.sigmoid(gate)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        *outer, last = input_shape
        return (*outer, None if last is None else last // 2)


class SharedScale(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """`SCALE_PACE` times its one weight, put beside each value as so many more channels."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(shape=(1,), name="scale")

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        beside = keras.ops.broadcast_to(SCALE_PACE * self.scale, keras.ops.shape(inputs))
        return keras.ops.concatenate([inputs, beside], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        *outer, last = input_shape
        return (*outer, None if last is None else 2 * last)


class OneHot(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A unit for each class, 1 for that of the label: labels (batch,) -> (batch, classes)."""

    def __init__(self, classes: int, **settings: object) -> None:
        super().__init__(**settings)
        self.classes = classes

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.one_hot(inputs, self.classes)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.classes)


def encoder_model(network: Network) -> keras.Model:
    """Images, and labels of a conditional network -> mean and raw log-variance.

    Its weights come in the order of `network.encoder_weights`.
    """
    images = keras.Input(network.spec.image_shape, name="images")
    inputs, hidden = _labelled(network, images, _chain(images, network.encoder))
    heads = [layers.Dense(network.spec.latent_dim, name=name)(hidden) for name in ("mean", "log_variance")]
    return keras.Model(inputs, heads, name="encoder")


def decoder_model(network: Network) -> keras.Model:
    """Latents, and labels of a conditional network -> the likelihood's parameters.

    Its weights come in the order of `network.decoder_weights`.
    """
    latents = keras.Input((network.spec.latent_dim,), name="latents")
    inputs, given = _labelled(network, latents, latents)
    return keras.Model(inputs, _chain(given, network.decoder), name="decoder")


def _labelled(network: Network, first: keras.KerasTensor, rows: keras.KerasTensor) -> tuple[object, keras.KerasTensor]:
    """Inputs of a model, `first` and the labels, and `rows` with the labels' units behind."""
    if network.spec.classes == 0:
        return first, rows
    labels = keras.Input((), name="labels", dtype="int64")
    return [first, labels], layers.Concatenate()([rows, OneHot(network.spec.classes)(labels)])


def _chain(inputs: keras.KerasTensor, described: tuple[Layer, ...]) -> keras.KerasTensor:
    outputs, kept = inputs, list[keras.KerasTensor]()
    for layer in described:
        match layer.kind:
            case "fork":
                kept.append(outputs)
            case "add":
                outputs = layers.Add()([kept.pop(), outputs])
            case _:
                outputs = _keras_layer(layer, outputs)(outputs)
    return outputs


def _keras_layer(layer: Layer, inputs: keras.KerasTensor) -> layers.Layer:
    match layer.kind, layer.detail:
        case "dense", _:
            return layers.Dense(layer.size)
        case "conv", _:
            return layers.Conv2D(layer.size, KERNEL, strides=STRIDE, padding="same")
        case "same_conv", _:
            return layers.Conv2D(layer.size, SAME_KERNEL, padding="same")
        case "transposed_conv", _:
            return layers.Conv2DTranspose(layer.size, KERNEL, strides=STRIDE, padding="same")
        case "activation", (name,):
            return layers.Activation(name)
        case "gated", _:
            return GatedLinearUnit()
        case "shared_scale", _:
            return SharedScale()
        case "flatten", _:
            return layers.Flatten()
        case "reshape", (int(height), int(width)):
            return layers.Reshape((height, width, inputs.shape[-1] // (height * width)))
        case "pad", (bottom, right):
            return layers.ZeroPadding2D(((0, bottom), (0, right)))
        case "crop", (int(height), int(width)):
            return layers.Cropping2D(((0, inputs.shape[1] - height), (0, inputs.shape[2] - width)))
        case _:
            raise ValueError(f"unknown layer {layer}")
