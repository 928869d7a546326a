"""Checks of a Keras network of one's own: what it puts out, that it has no state, that each image stands for itself.

A score may depend on an image and the weights alone (invariant I6), and training on nothing that a checkpoint does not
carry (I5). So layers with state are refused, by name.
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from vae_search.core.text import printable
from vae_search.errors import InvalidSpec
from vae_search.vae.networks.network_spec import NetworkSpec

CONTRACT = "It must return (encoder, decoder), two Keras models"
MIXED_SHARE = 1e-3
"""difference that other images of a batch may make, of an output's size; float32 in another order makes 1e-6"""
# Operations that are stateful to TensorFlow and keep nothing.
_HARMLESS = {"Assert", "StatefulPartitionedCall", "PartitionedCall", "If", "While", "PlaceholderWithDefault"}


def check_models(found: object, spec: NetworkSpec, *, where: str) -> tuple[keras.Model, keras.Model]:
    """The two models, if they have the shapes of this spec and no state.

    Raises:
        InvalidSpec: Saying what is wrong.
    """
    if not (
        isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(each, keras.Model) for each in found)
    ):
        raise InvalidSpec(f"{where}: {CONTRACT}, but returned {_kinds(found)}.")
    encoder, decoder = found
    height, width, channels = spec.image_shape
    outputs = _outputs("encoder", encoder, spec.image_shape, where=where)
    wanted = (None, spec.latent_dim)
    if not (isinstance(outputs, tuple | list) and [tuple(each.shape) for each in outputs] == [wanted] * 2):
        raise InvalidSpec(
            f"{where}: the encoder must put out [mean, log_variance], each {wanted}, but puts out {_shapes(outputs)}."
        )
    output = _outputs("decoder", decoder, (spec.latent_dim,), where=where)
    image = (None, height, width, spec.outputs_per_value * channels)
    if not hasattr(output, "shape") or tuple(output.shape) != image:
        raise InvalidSpec(
            f"{where}: the decoder must put out {image}, outputs_per_value of each value of a pixel, but puts out "
            f"{_shapes(output)}."
        )
    for part, model in (("encoder", encoder), ("decoder", decoder)):
        _check_stateless(part, model, where=where)
        _check_types(part, model, where=where)
    return encoder, decoder


def check_graph(part: str, model: keras.Model, graph: tf.Graph, *, where: str) -> None:
    """Refuse operations that keep state or draw at random, in the graph of one call.

    Raises:
        InvalidSpec: Naming the layer.
    """
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    for node in nodes:
        if node.op not in _HARMLESS and _is_stateful(node.op):
            raise InvalidSpec(
                f"{where}: the {part} has {_layer_of(node.name)}, whose operation {node.op} keeps state or draws at "
                "random, so that a score would not depend on image and weights alone. Leave it out."
            )


def check_behaviour(encoder: keras.Model, decoder: keras.Model, spec: NetworkSpec, *, where: str) -> None:
    """Refuse a network that starts without finite values, has weights without effect, or mixes a batch's images.

    Raises:
        InvalidSpec: Saying what was found.
    """
    rng = np.random.default_rng(0)
    shapes = {"encoder": spec.image_shape, "decoder": (spec.latent_dim,)}
    for (part, shape), model in zip(shapes.items(), (encoder, decoder), strict=True):
        first, other = (tf.constant(rng.random((3, *shape), dtype=np.float32)) for _ in range(2))
        beside = tf.concat([first[:1], other[1:]], axis=0)  # the same image among others
        with tf.GradientTape() as tape:
            outputs = [tf.convert_to_tensor(each) for each in tf.nest.flatten(model(first, training=False))]
            total = tf.add_n(
                [tf.reduce_sum(each * tf.cast(index + 1, each.dtype)) for index, each in enumerate(outputs)]
            )
        gradients = tape.gradient(total, [variable.value for variable in model.trainable_variables])
        if not all(np.isfinite(each.numpy()).all() for each in outputs):
            raise InvalidSpec(f"{where}: the {part} puts out NaN or infinity with fresh weights. Mend its start.")
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            if gradient is None:
                raise InvalidSpec(
                    f"{where}: the {part}'s weight {printable(variable.path)} has no effect on its output, so it "
                    "cannot be trained. Use it, or leave it out."
                )
        again = [tf.convert_to_tensor(each) for each in tf.nest.flatten(model(beside, training=False))]
        for before, after in zip(outputs, again, strict=True):
            size = float(tf.reduce_max(tf.abs(before))) + 1e-6
            if float(tf.reduce_max(tf.abs(before[0] - after[0]))) > MIXED_SHARE * size:
                raise InvalidSpec(
                    f"{where}: what the {part} makes of an image depends on the other images of its batch, so that a "
                    "score would, too. Normalise within an image, as LayerNormalization does."
                )


def _outputs(part: str, model: keras.Model, shape: tuple[int, ...], *, where: str) -> object:
    try:
        return model(keras.KerasTensor((None, *shape), dtype="float32"))
    except (ValueError, TypeError) as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidSpec(f"{where}: the {part} must take {(None, *shape)}, but: {printable(told, 300)}") from error


def _check_stateless(part: str, model: keras.Model, *, where: str) -> None:
    for layer in _layers(model):
        own = list(layer._non_trainable_variables)
        seeds = list(layer._seed_generators)
        if own or seeds or (not layer.trainable and layer.weights):
            what = "random numbers" if seeds else "state" if own else "weights that are not trained"
            raise InvalidSpec(
                f"{where}: the {part}'s layer {printable(layer.name)} ({type(layer).__name__}) has {what} of its own, "
                "so that a score would not depend on image and weights alone. Leave it out, or take one without, such "
                "as LayerNormalization or GroupNormalization."
            )
    if model.non_trainable_variables:
        names = ", ".join(printable(variable.path) for variable in model.non_trainable_variables[:3])
        raise InvalidSpec(f"{where}: the {part} has variables that are not trained: {names}. Leave them out.")
    if not model.trainable_variables:
        raise InvalidSpec(f"{where}: the {part} has no weights to train.")


def _check_types(part: str, model: keras.Model, *, where: str) -> None:
    for variable in model.trainable_variables:
        if variable.dtype != "float32":
            raise InvalidSpec(
                f"{where}: the {part}'s weight {printable(variable.path)} must be float32, but is {variable.dtype}."
            )


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    return (each for each in model._flatten_layers() if each is not model)


def _is_stateful(operation: str) -> bool:
    definition = op_def_registry.get(operation)  # nothing public tells it
    return definition is not None and bool(definition.is_stateful)


def _layer_of(node: str) -> str:
    return f"the layer {printable(node.rpartition('/')[0] or node, 200)}"


def _kinds(found: object) -> str:
    if isinstance(found, tuple | list):
        return f"({', '.join(type(each).__name__ for each in found[:5])})"
    return f"a {type(found).__name__}"


def _shapes(outputs: object) -> str:
    found = [tuple(each.shape) if hasattr(each, "shape") else type(each).__name__ for each in tf.nest.flatten(outputs)]
    return printable(str(found[0] if len(found) == 1 else found), 200)
