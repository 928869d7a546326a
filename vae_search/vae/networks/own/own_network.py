"""A Keras network of one's own, as a function of given weights: the same interface as a described network.

Its graph is traced once per spec, since sizes are fixed in it. Its weights are given at each call (`stateless_call`),
so it needs no state of its own, and has none: `checks.py` refuses it.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

import keras
import numpy as np
import tensorflow as tf

from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.errors import InvalidSpec
from vae_search.spec.networks.keras_network import KerasReference, build_function
from vae_search.spec.own_code.code_loading import VARIABLE, code_of
from vae_search.vae.networks.keras_models import SharedScale
from vae_search.vae.networks.layers import SCALE_PACE
from vae_search.vae.networks.network import ordered
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.networks.own.checks import check_behaviour, check_graph, check_models
from vae_search.vae.networks.own.graph_costs import GraphCosts, costs_of_graph

KEPT_MODELS = 8
CHECK_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasTopology:
    """Part of a network that networks with one graph share: the whole spec, since a Keras model fixes all sizes."""

    spec: NetworkSpec
    ranks: tuple[int, ...]

    def layer_outputs(self, shapes: Sequence[tuple[int, ...]], image_shape: tuple[int, int, int]) -> list[int]:
        """Values that each operation of the graph puts out for one image."""
        return own_network(self.spec).layer_outputs

    def latent_dim(self, weights: Sequence[tf.Tensor | tf.Variable]) -> int:
        """Number of latents."""
        return self.spec.latent_dim

    def functions(self, weights: Sequence[tf.Tensor | tf.Variable]) -> "OwnFunctions":
        """Both directions, with these weights."""
        return OwnFunctions(network=own_network(self.spec), weights=weights)


@dataclass(frozen=True, kw_only=True)
class OwnNetwork:
    """Two Keras models of one build, checked."""

    spec: NetworkSpec
    encoder_model: keras.Model
    decoder_model: keras.Model
    """with the likelihood's shared scale, if it has one"""

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all weights, encoder first."""
        return [tuple(weight.shape) for weight in self._weights]

    @cached_property
    def names(self) -> list[str]:
        """One name per weight, in the order of `shapes`; the same in every process, whatever was built before."""
        return [
            f"{part}/{position:03d}-{re.sub(r'[^a-z0-9_]', '_', weight.name.lower())}"
            for part, model in (("encoder", self.encoder_model), ("decoder", self.decoder_model))
            for position, weight in enumerate(model.trainable_variables)
        ]

    def ordered(self, weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Named weights in the order of `shapes`; see `Network.ordered`."""
        return ordered(dict(zip(self.names, self.shapes, strict=True)), weights)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(prod(shape) for shape in self.shapes)

    @property
    def forward_flops(self) -> int:
        """Multiply-adds × 2 of one image through both; element-wise work excluded."""
        return self._costs[0].flops + self._costs[1].flops

    @property
    def decoder_flops(self) -> int:
        """`forward_flops` of the decoder alone."""
        return self._costs[1].flops

    @property
    def step_flops(self) -> int:
        """0: it has the standard prior."""
        return 0

    @property
    def layer_outputs(self) -> list[int]:
        """Values that each operation puts out for one image; the decoder's outputs last."""
        height, width, channels = self.spec.image_shape
        outputs = height * width * channels * self.spec.outputs_per_value
        return [*self._costs[0].outputs, *self._costs[1].outputs, outputs]

    def biased_alike(self, pixels: PixelStatistics) -> PixelStatistics:
        """Pixel statistics pooled over all places: what a network of one's own starts from is its own affair."""
        return pixels.pooled

    @property
    def topology(self) -> KerasTopology:
        return KerasTopology(spec=self.spec, ranks=tuple(map(len, self.shapes)))

    def initial_weights(self, *, seed: int, latent_free: np.ndarray) -> list[np.ndarray]:
        """Fresh weights as the network's own initialisers draw them: a function of the seed."""
        encoder, decoder = _models(self.spec, seed=seed)
        weights = [np.asarray(weight) for weight in (*encoder.trainable_variables, *decoder.trainable_variables)]
        if self.spec.shares_scale:
            _, log_scale = np.split(latent_free.astype(np.float32), 2, axis=-1)
            weights[-1] = np.full(1, log_scale.mean() / SCALE_PACE, np.float32)
        return weights

    def trained_models(self, weights: Sequence[np.ndarray]) -> tuple[keras.Model, keras.Model]:
        """Encoder and decoder of their own, with these weights."""
        models = _models(self.spec, seed=CHECK_SEED)
        variables = [variable for model in models for variable in model.trainable_variables]
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)
        return models

    @cached_property
    def _weights(self) -> list[keras.Variable]:
        return [*self.encoder_model.trainable_variables, *self.decoder_model.trainable_variables]

    @cached_property
    def _costs(self) -> tuple[GraphCosts, GraphCosts]:
        shapes = (self.spec.image_shape, (self.spec.latent_dim,))
        encoder, decoder = (
            costs_of_graph(traced(model, shape))
            for model, shape in zip((self.encoder_model, self.decoder_model), shapes, strict=True)
        )
        return encoder, decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFunctions:
    """The network with weights: `VaeFunctions`."""

    network: OwnNetwork
    weights: Sequence[tf.Tensor | tf.Variable]

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        own = len(self.network.encoder_model.trainable_variables)
        seen = tf.ensure_shape(images, [None, *self.network.spec.image_shape])
        mean, log_variance = _called(self.network.encoder_model, self.weights[:own], seen)
        return mean, log_variance

    def decoder(self, latents: tf.Tensor) -> tf.Tensor:
        first = len(self.network.encoder_model.trainable_variables)
        seen = tf.ensure_shape(latents, [None, self.network.spec.latent_dim])
        return _called(self.network.decoder_model, self.weights[first:], seen)


def _called(model: keras.Model, weights: Sequence[tf.Tensor | tf.Variable], inputs: tf.Tensor) -> tf.Tensor:
    given = [
        tf.ensure_shape(tf.convert_to_tensor(weight), variable.shape)
        for weight, variable in zip(weights, model.trainable_variables, strict=True)
    ]
    outputs, _ = model.stateless_call(given, [], inputs, training=False)
    return outputs


def traced(model: keras.Model, shape: tuple[int, ...]) -> tf.Graph:
    """Graph of one call on one image, or on one image's latents."""
    weights = [tf.TensorSpec(variable.shape, tf.float32) for variable in model.trainable_variables]
    call = tf.function(lambda inputs, *given: _called(model, given, inputs), autograph=False)
    return call.get_concrete_function(tf.TensorSpec([1, *shape], tf.float32), *weights).graph


@lru_cache(maxsize=KEPT_MODELS)
def own_network(spec: NetworkSpec) -> OwnNetwork:
    """The network of a spec, built and checked.

    Raises:
        InvalidSpec: Its code is not here or fails, or what it builds is no network that can be trained and scored.
    """
    encoder, decoder = _models(spec, seed=CHECK_SEED)
    where = spec.architecture
    check_graph("encoder", encoder, traced(encoder, spec.image_shape), where=where)
    check_graph("decoder", decoder, traced(decoder, (spec.latent_dim,)), where=where)
    found = OwnNetwork(spec=spec, encoder_model=encoder, decoder_model=decoder)
    check_behaviour(encoder, decoder, spec, where=where)
    return found


def _models(spec: NetworkSpec, *, seed: int) -> tuple[keras.Model, keras.Model]:
    """Encoder and decoder with fresh weights, a function of the seed; random streams of others are left as they are."""
    reference = KerasReference.parse(spec.architecture)
    if reference is None:
        raise ValueError(f"{spec.architecture} is no Keras network of one's own")
    if code_of(reference.module).identity.sha256 != spec.code:
        raise InvalidSpec(
            f"{spec.architecture}: its code here is not the code that this was trained with (SHA-256 "
            f"{str(spec.code)[:12]}…).\nGive that one: {VARIABLE}=PATH."
        )
    function = build_function(reference)
    random_before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - Keras' initialisers use it
    try:
        keras.utils.set_random_seed(seed % 2**32)
        found = function(
            image_shape=spec.image_shape,
            latent_dim=spec.latent_dim,
            outputs_per_value=spec.outputs_per_value,
            **dict(spec.special),
        )
        encoder, decoder = check_models(found, spec, where=spec.architecture)
        if spec.shares_scale:
            latents = keras.Input((spec.latent_dim,), name="latents")
            decoder = keras.Model(latents, SharedScale()(decoder(latents)), name="decoder_with_scale")
    except InvalidSpec:
        raise
    except (Exception, SystemExit) as error:  # whatever a function of somebody else does
        told = next(iter(f"{type(error).__name__}: {error}".splitlines()))
        raise InvalidSpec(f"{spec.architecture}: with {dict(spec.special)} it fails: {told[:300]}") from error
    finally:
        random.setstate(random_before)
        np.random.set_state(numpy_before)  # noqa: NPY002
    return encoder, decoder
