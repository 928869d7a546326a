"""A finished hierarchical network in two parts, which are called, exported and read like the Keras models of others."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalNetwork
from vae_search.vae.networks.hierarchy.weighted_hierarchy import WeightedHierarchy
from vae_search.vae.networks.network import HEAD_WEIGHTS


class TrainedPart(tf.Module):  # type: ignore[misc]  # TensorFlow ships no types
    """Encoder or decoder with its trained weights; it is called with a batch, or with a batch and its labels.

    It holds the weights of both, since the signature of the bound goes through both.
    """

    def __init__(self, network: HierarchicalNetwork, weights: Sequence[tf.Variable], *, own: slice) -> None:
        super().__init__()
        self._topology = network.topology
        self._weights = list(weights)
        self._own = own

    def functions(self, labels: tf.Tensor | None = None) -> WeightedHierarchy:
        """Both directions, for images of these labels."""
        return self._topology.functions(self._weights, labels=labels)

    def get_weights(self) -> list[np.ndarray]:
        """The part's own weights, in the order of the network's shapes."""
        return [weight.numpy() for weight in self._weights[self._own]]


class TrainedEncoder(TrainedPart):
    """Images -> mean and raw log-variance of all latents."""

    def __call__(self, batch: np.ndarray | tf.Tensor | list[np.ndarray]) -> tuple[tf.Tensor, tf.Tensor]:
        images, *labels = batch if isinstance(batch, list) else [batch]
        return self.functions(*labels).encoder(tf.cast(images, tf.float32))


class TrainedDecoder(TrainedPart):
    """Latents -> the likelihood's parameters."""

    def __call__(self, batch: np.ndarray | tf.Tensor | list[np.ndarray]) -> tf.Tensor:
        latents, *labels = batch if isinstance(batch, list) else [batch]
        return self.functions(*labels).decoder(tf.cast(latents, tf.float32))


def trained_parts(network: HierarchicalNetwork, weights: Sequence[np.ndarray]) -> tuple[TrainedEncoder, TrainedDecoder]:
    """Encoder and decoder with these weights, in the order of `network.shapes`."""
    variables = [tf.Variable(weight, trainable=False) for weight in weights]
    ends = network.topology.first_lower_head + HEAD_WEIGHTS
    last = ends + sum(len(layer.shapes) for layer in network.decoder_weights)
    encoder = TrainedEncoder(network, variables, own=slice(0, ends))
    return encoder, TrainedDecoder(network, variables, own=slice(ends, last))
