"""A trained model rebuilt from plain files: a description in JSON and weights as arrays. No code is loaded."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import tensorflow as tf

from vae_search.vae.arrays import arrays_of
from vae_search.vae.keras_models import decoder_model, encoder_model
from vae_search.vae.likelihoods import LIKELIHOODS, Likelihood
from vae_search.vae.networks import Network, NetworkSpec, build

MODEL_FORMAT = 1


def describe(spec: NetworkSpec, *, likelihood: str, clamp: tuple[float, float]) -> bytes:
    """What `VaeModel.from_files` needs beside the weights, as canonical JSON."""
    description = {
        "format": MODEL_FORMAT,
        "network": asdict(spec),
        "likelihood": likelihood,
        "log_variance_clamp": list(clamp),
    }
    return (json.dumps(description, sort_keys=True, indent=1) + "\n").encode()


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
        """The model of `describe` and `npz_of(averaged weights)`.

        Raises:
            ValueError: The files do not describe a model that this version can build.
        """
        fields = json.loads(description)
        if not isinstance(fields, dict) or fields.get("format") != MODEL_FORMAT:
            raise ValueError(f"`format` must be {MODEL_FORMAT}, but got {fields!r:.80}")
        shape = dict(fields["network"])
        shape["image_shape"] = tuple(shape["image_shape"])
        network = build(NetworkSpec(**shape))
        if fields["likelihood"] not in LIKELIHOODS:
            raise ValueError(
                f"`likelihood` must be one of {', '.join(LIKELIHOODS)}, but got {fields['likelihood']!r:.80}"
            )
        return cls(network, arrays_of(weights), LIKELIHOODS[fields["likelihood"]])

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
