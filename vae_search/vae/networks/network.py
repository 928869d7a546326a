"""Encoders and decoders by family, as plain descriptions of their layers and the sizes of their weights.

A network is a function of its `NetworkSpec` and nothing else. `forward.py` runs the description on given weights,
`keras_models.py` makes Keras models of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy as np

from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.spec.networks.family import BUILT_IN, HIERARCHICAL
from vae_search.vae.networks.families import layers_of
from vae_search.vae.networks.layers import SCALE_PACE, WEIGHTED, Layer, LayerWeights, dense_weights, weights_along
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.networks.prior_weights import blank_prior, prior_flops, prior_names, prior_shapes

HEAD_WEIGHTS = 4  # kernel and bias of mean and of log-variance


class BuiltNetwork(Protocol):
    """A network with sizes: a described one, `Network`, or a Keras network of one's own."""

    @property
    def spec(self) -> NetworkSpec: ...
    @property
    def shapes(self) -> list[tuple[int, ...]]: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def parameters(self) -> int: ...
    @property
    def forward_flops(self) -> int: ...
    @property
    def decoder_flops(self) -> int: ...
    @property
    def step_flops(self) -> int: ...
    @property
    def layer_outputs(self) -> list[int]: ...
    @property
    def topology(self) -> Any: ...

    def ordered(self, weights: Mapping[str, np.ndarray]) -> list[np.ndarray]: ...
    def biased_alike(self, pixels: PixelStatistics) -> PixelStatistics: ...
    def initial_weights(self, *, seed: int, latent_free: np.ndarray) -> list[np.ndarray]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A network without the sizes of its weights; equal topologies share a graph.

    Args:
        ranks: of each weight, in the order of `Network.shapes`.
        classes, prior: as of a `NetworkSpec`.
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    ranks: tuple[int, ...]
    classes: int = 0
    prior: str = "standard"

    @property
    def first_head(self) -> int:
        """Position of the mean head's kernel among the weights; its bias and the log-variance head's pair follow."""
        return 2 * sum(layer.kind in WEIGHTED for layer in self.encoder)

    @property
    def mean_biases(self) -> tuple[int, ...]:
        """Position of the mean head's bias, which has a value for each latent; of each level's, where there are two."""
        return (self.first_head + 1,)

    def layer_outputs(self, shapes: Sequence[tuple[int, ...]], image_shape: tuple[int, int, int]) -> list[int]:
        """`Network.layer_outputs` of the network whose weights have these shapes."""
        biases = iter(shapes[1::2])  # each kernel is followed by its bias; a shared scale comes last and alone

        def sized(layers: tuple[Layer, ...]) -> list[Layer]:
            return [replace(each, size=next(biases)[0]) if each.kind in WEIGHTED else each for each in layers]

        encoder = weights_along(sized(self.encoder), image_shape)[0]
        heads = [next(biases), next(biases)]
        decoder = weights_along(sized(self.decoder), (heads[0][0] + self.classes,))[0]
        return [*(each.outputs for each in encoder), *(size for (size,) in heads), *(each.outputs for each in decoder)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An encoder with two separate heads, and a decoder.

    encoder: images (batch, height, width, channels) -> what both heads see
    decoder: latents (batch, latent_dim) -> (batch, height, width, outputs · channels), the likelihood's parameters

    A label is one more input of both heads and of the decoder's first layer, a unit for each class (Sohn et al. 2015).
    """

    spec: NetworkSpec
    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]

    @property
    def encoder_weights(self) -> list[LayerWeights]:
        """Weights of the encoder's layers, then of the mean head, then of the log-variance head."""
        found, (features,) = weights_along(self.encoder, self.spec.image_shape)
        head = dense_weights(features + self.spec.classes, self.spec.latent_dim)
        return [*found, head, head]

    @property
    def decoder_weights(self) -> list[LayerWeights]:
        return weights_along(self.decoder, (self.spec.latent_dim + self.spec.classes,))[0]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all weights: encoder first, each layer's kernel before its bias; a learned prior's last."""
        layers = [*self.encoder_weights, *self.decoder_weights]
        return [*(shape for layer in layers for shape in layer.shapes.values()), *prior_shapes(self.spec)]

    @property
    def names(self) -> list[str]:
        """One name per weight, in the order of `shapes`; the same in every process."""
        layers = [
            f"{part}/{position:02d}-{kind}"
            for part, layers in (("encoder", self.encoder_weights), ("decoder", self.decoder_weights))
            for position, kind in enumerate(kind for layer in layers for kind in layer.shapes)
        ]
        return [*layers, *prior_names(self.spec.prior)]

    def ordered(self, weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Named weights in the order of `shapes`.

        Raises:
            ValueError: Names or shapes are not the network's.
        """
        return ordered(dict(zip(self.names, self.shapes, strict=True)), weights)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(prod(shape) for shape in self.shapes)

    @property
    def forward_flops(self) -> int:
        """Multiply-adds × 2 of one image through encoder, decoder and learned prior; element-wise work excluded."""
        layers = (*self.encoder_weights, *self.decoder_weights)
        return sum(layer.flops for layer in layers) + prior_flops(self.spec)

    @property
    def decoder_flops(self) -> int:
        """`forward_flops` of the decoder alone."""
        return sum(layer.flops for layer in self.decoder_weights)

    @property
    def step_flops(self) -> int:
        """The same work that a step has once, however large its batch: pseudo-inputs through the encoder."""
        encoder = sum(layer.flops for layer in self.encoder_weights)
        return self.spec.prior_components * encoder if self.spec.prior == "vamp" else 0

    @property
    def layer_outputs(self) -> list[int]:
        """Values that each layer with weights puts out for one image; encoder first."""
        return [layer.outputs for layer in (*self.encoder_weights, *self.decoder_weights)]

    def biased_alike(self, pixels: PixelStatistics) -> PixelStatistics:
        """Pixel statistics pooled over the values that share a bias in the decoder's last layer."""
        last = [layer.kind for layer in self.decoder if layer.kind in WEIGHTED][-1]
        return pixels if last == "dense" else pixels.pooled

    def initial_weights(self, *, seed: int, latent_free: np.ndarray) -> list[np.ndarray]:
        """Fresh weights; see the function.

        Kernels are Glorot uniform (Glorot & Bengio 2010, eq. 16) or zero, biases zero, and the last bias is what the
        likelihood would put out without latents, which saves the first epochs.
        """
        rng = np.random.default_rng(seed)
        weights = []
        for layer in (*self.encoder_weights, *self.decoder_weights):
            if layer.kernel is not None:
                weights.append(_kernel(layer.kernel, rng, zero=layer.starts_at_zero))
            weights.append(np.zeros(layer.bias, np.float32))
        if not self.spec.shares_scale:
            weights[-1] = latent_free.astype(np.float32).ravel()
            return [*weights, *blank_prior(self.spec, rng)]
        location, log_scale = np.split(latent_free.astype(np.float32), 2, axis=-1)
        weights[-2] = location.ravel()
        weights[-1] = np.full(1, log_scale.mean() / SCALE_PACE, np.float32)
        return [*weights, *blank_prior(self.spec, rng)]

    @property
    def topology(self) -> Topology:
        return Topology(
            encoder=tuple(replace(layer, size=0) for layer in self.encoder),
            decoder=tuple(replace(layer, size=0) for layer in self.decoder),
            ranks=tuple(len(shape) for shape in self.shapes),
            classes=self.spec.classes,
            prior=self.spec.prior,
        )


def ordered(expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Named weights in the expected order.

    Raises:
        ValueError: Names or shapes are others.
    """
    found = {name: array.shape for name, array in weights.items()}
    if dict(expected) != found:
        wrong = sorted({*expected.items()} ^ {*found.items()})[:4]
        raise ValueError(f"weights must have the network's names and shapes, but differ in {wrong}")
    return [weights[name] for name in expected]


def build(spec: NetworkSpec) -> BuiltNetwork:
    """The network of `spec`.

    Raises:
        InvalidSpec: It is from elsewhere, and is not here or broken.
    """
    if spec.code is not None:
        from vae_search.vae.networks.own.own_network import own_network  # with TensorFlow

        return own_network(spec)
    encoder, decoder = layers_of(spec)
    if spec.architecture not in BUILT_IN:
        spec = replace(spec, layers=(tuple(encoder), tuple(decoder)))
    if spec.shares_scale:
        decoder.append(Layer("shared_scale"))
    if spec.architecture in HIERARCHICAL:
        from vae_search.vae.networks.hierarchy.hierarchical_network import hierarchical_network  # a `Network` itself

        return hierarchical_network(spec, encoder, decoder)
    return Network(spec=spec, encoder=tuple(encoder), decoder=tuple(decoder))


def initial_weights(network: BuiltNetwork, *, seed: int, latent_free: np.ndarray) -> list[np.ndarray]:
    """Fresh weights, in the order of `network.shapes`: a pure function of the seed.

    Args:
        latent_free: of the likelihood for the statistics of `network.biased_alike`: (height, width, outputs ·
            channels), or (1, 1, outputs · channels) where places share a bias.
    """
    return network.initial_weights(seed=seed, latent_free=latent_free)


def _kernel(shape: tuple[int, ...], rng: np.random.Generator, *, zero: bool) -> np.ndarray:
    if zero:
        return np.zeros(shape, np.float32)
    receptive_field = prod(shape[:-2])
    limit = np.sqrt(6.0 / (receptive_field * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype(np.float32)
