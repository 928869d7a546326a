"""A trained model rebuilt from plain files. No code is loaded."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from vae_search.vae.arrays import arrays_of
from vae_search.vae.description import ModelDescription
from vae_search.vae.keras_models import decoder_model, encoder_model
from vae_search.vae.likelihoods import LIKELIHOODS, Likelihood
from vae_search.vae.networks import Network, build


class VaeModel:
    """Encoder and decoder with their trained weights."""

    def __init__(self, network: Network, weights: Mapping[str, np.ndarray], likelihood: Likelihood) -> None:
        """Build the Keras models.

        Args:
            weights: by the network's names.

        Raises:
            ValueError: Names or shapes are not the network's.
        """
        self.network = network
        self.likelihood = likelihood
        self.encoder = encoder_model(network)
        self.decoder = decoder_model(network)
        expected = dict(zip(network.names, network.shapes, strict=True))
        found = {name: array.shape for name, array in weights.items()}
        if expected != found:
            wrong = sorted({*expected.items()} ^ {*found.items()})[:4]
            raise ValueError(f"weights must have the network's names and shapes, but differ in {wrong}")
        arrays = [weights[name] for name in network.names]
        self.encoder.set_weights(arrays[: len(self.encoder.weights)])
        self.decoder.set_weights(arrays[len(self.encoder.weights) :])

    @classmethod
    def from_files(cls, description: bytes, weights: bytes) -> "VaeModel":
        """The model of `ModelDescription.to_json` and `npz_of(averaged weights)`.

        Raises:
            ValueError: The files do not describe a model that this version can build.
        """
        described = ModelDescription.from_json(description)
        if described.likelihood not in LIKELIHOODS:
            raise ValueError(
                f"`likelihood` must be one of {', '.join(LIKELIHOODS)}, but got {described.likelihood!r:.80}"
            )
        return cls(build(described.network), arrays_of(weights), LIKELIHOODS[described.likelihood])

    @property
    def latent_dim(self) -> int:
        return self.network.spec.latent_dim

    def sample(self, count: int, *, seed: int) -> np.ndarray:
        """Means of p(x|z) for `count` draws of z from the prior: (count, height, width, channels) in [0, 1]."""
        latents = tf.random.stateless_normal([count, self.latent_dim], [seed, 0])
        return self.decode(latents.numpy())

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Means of p(x|z): (n, latent_dim) -> (n, height, width, channels) in [0, 1]."""
        means: np.ndarray = self.likelihood.mean(self.decoder(latents)).numpy()
        return means
