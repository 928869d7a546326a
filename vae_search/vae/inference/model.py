"""A trained model rebuilt from plain files. No code is loaded, but that of a trial with a network of one's own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from vae_search.core.dataset_summary import Classes
from vae_search.vae.inference.npz import arrays_of
from vae_search.vae.inference.saved_network import SavedNetwork
from vae_search.vae.inference.scoring import check_classes
from vae_search.vae.inference.weights_file import read_weights
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalNetwork
from vae_search.vae.networks.hierarchy.trained_hierarchy import trained_parts
from vae_search.vae.networks.keras_models import decoder_model, encoder_model
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import Network, build
from vae_search.vae.networks.own.own_network import OwnNetwork
from vae_search.vae.networks.prior_weights import prior_names
from vae_search.vae.objective.likelihoods import likelihood_of
from vae_search.vae.priors.learned import Prior, prior_of

USE_BATCH = 1000  # images at once; a convolution's intermediate results would fill the memory otherwise

Trained = Mapping[str, np.ndarray] | SavedNetwork  # weights by name; or a SavedModel, which has them


class VaeModel:
    """Encoder and decoder with their trained weights.

    A conditional model takes the labels of images and latents, (n,) whole numbers from 0 on; any other takes none.
    """

    def __init__(self, description: ModelDescription, trained: Trained) -> None:
        """Build the Keras models, or take what a SavedModel holds.

        Args:
            trained: weights by the network's names, or a SavedModel.

        Raises:
            ValueError: Names or shapes are not the network's, or the likelihood is unknown.
            InvalidSpec: It is a network of somebody's own, whose code is not here.
        """
        self.description = description
        self.trained = trained
        self.likelihood = likelihood_of(description.likelihood, description.levels)
        self.encoder, self.decoder, self.prior = _parts(description, trained)

    @classmethod
    def from_files(cls, description: bytes, weights: bytes) -> "VaeModel":
        """The model of `ModelDescription.to_json` and `npz_of(averaged weights)`: what a trial's artifact holds.

        Raises:
            ValueError: The files do not describe a model that this version can build.
            InvalidSpec: It is a network of somebody's own, whose code is not here.
        """
        return cls(ModelDescription.from_json(description), arrays_of(weights))

    @classmethod
    def from_version(
        cls, config: bytes, weights: bytes, *, saved_model: Mapping[str, bytes] | None = None
    ) -> "VaeModel":
        """The model of a version's `config.json` and `model.weights.h5`; whoever wrote them is not trusted.

        One with a Keras network of somebody's own comes from its SavedModel, whether or not its code is here.

        Args:
            saved_model: files of the version by path, checked against the log.

        Raises:
            ValueError: They are damaged, hostile, or not of a model that this version can build. One line.
        """
        description = ModelDescription.from_json(config)
        if description.network.code is not None:
            return cls(description, SavedNetwork(saved_model or {}, latent_dim=description.network.latent_dim))
        return cls(description, read_weights(weights, build(description.network)))

    @property
    def latent_dim(self) -> int:
        return self.description.network.latent_dim

    def weights(self) -> dict[str, np.ndarray]:
        """Weights by the network's names.

        Raises:
            ValueError: The model runs from its SavedModel, so that nobody here knows their names.
        """
        if isinstance(self.trained, SavedNetwork):
            raise ValueError("a model that runs from its SavedModel has no weights by name")
        arrays = [*self.encoder.get_weights(), *self.decoder.get_weights()]
        own = [self.trained[name] for name in prior_names(self.description.network.prior)]
        return dict(zip(build(self.description.network).names, [*arrays, *own], strict=True))

    @property
    def classes(self) -> int:
        """Number of classes of the labels that it sees; 0 if it is not conditional."""
        return self.description.network.classes

    @property
    def known_classes(self) -> Classes:
        """Classes of the labels that it sees, by number, with their names where the data had some."""
        return self.description.known_classes or Classes(counts=(1,) * self.classes)

    def encode(self, images: np.ndarray, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """q(z|x) as mean and log-variance: (n, height, width, channels) in [0, 1] -> (n, latent_dim) each.

        With two levels of latents those of the lower one are given the upper one's mean.

        Raises:
            ValueError: Images are not in [0, 1], as whole numbers 0 … 255 would be; or labels are none of the model's.
        """
        if images.size and not 0 <= images.min() <= images.max() <= 1:
            raise ValueError(f"images must lie in [0, 1], but lie in [{images.min():g}, {images.max():g}]. Scale them.")
        low, high = self.description.clamp
        parts = [self.encoder(batch) for batch in self._batches(images.astype(np.float32, copy=False), labels)]
        mean, raw_log_variance = (np.concatenate([part[which].numpy() for part in parts]) for which in (0, 1))
        return mean, np.clip(raw_log_variance, low, high)

    def decode(self, latents: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Means of p(x|z): (n, latent_dim) -> (n, height, width, channels) in [0, 1].

        Raises:
            ValueError: Labels are none of the model's.
        """
        batches = self._batches(latents, labels)
        return np.concatenate([self.likelihood.mean(self.decoder(batch)).numpy() for batch in batches])

    def reconstruct(self, images: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Means of p(x|z) at each image's posterior mean, the shape of `images`, in [0, 1]; errors as for `encode`."""
        return self.decode(self.encode(images, labels)[0], labels)

    def sample(self, count: int, *, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
        """Means of p(x|z) for `count` draws of z from the prior: (count, height, width, channels) in [0, 1].

        Args:
            labels: (count,) of a conditional model; None: the classes that it was trained on, in turn.

        Raises:
            ValueError: Labels are none of the model's.
        """
        return self.decode(self._latents(count, seed), self._in_turn(count, labels))

    def sample_classes(self, columns: int, *, seed: int) -> np.ndarray:
        """Samples with the same draws of z for every class: (classes, columns, height, width, channels).

        The classes are those that the model was trained on, `known_classes.seen`.

        Raises:
            ValueError: The model is not conditional.
        """
        seen = self.known_classes.seen
        latents = np.tile(self._latents(columns, seed), (len(seen), 1))
        made = self.decode(latents, np.repeat(seen, columns))
        return made.reshape(len(seen), columns, *made.shape[1:])

    def draw(self, count: int, *, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
        """`count` images drawn from p(x), pixels too: uint8 in 0 … levels - 1, (count, height, width, channels).

        What sample quality is measured on where pixels are binary: a grey mean is no image of that kind. Labels and
        errors as for `sample`.
        """
        latents = self._batches(self._latents(count, seed), self._in_turn(count, labels))
        # Another stream for each batch; the latents have [seed, 0].
        parts = [
            self.likelihood.draw(self.decoder(batch), tf.constant([seed, position + 1], tf.int32)).numpy()
            for position, batch in enumerate(latents)
        ]
        return np.concatenate(parts)

    def prior_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each latent under the prior, (latent_dim,) each."""
        if self.prior is None:
            return np.zeros(self.latent_dim, np.float32), np.ones(self.latent_dim, np.float32)
        return self.prior.moments()

    def _in_turn(self, count: int, labels: np.ndarray | None) -> np.ndarray | None:
        if labels is not None or not self.classes:
            return labels
        seen = np.asarray(self.known_classes.seen)
        return seen[np.arange(count) % len(seen)]

    def _batches(self, array: np.ndarray, labels: np.ndarray | None) -> list[np.ndarray | list[np.ndarray]]:
        """Batches as encoder and decoder take them: with their labels, if the model is conditional."""
        check_classes(self.description, labels)
        if labels is None:
            return [*_batches(array)]
        if len(labels) != len(array):
            raise ValueError(f"there must be a label for each of {len(array):,}, but there are {len(labels):,}")
        both = zip(_batches(array), _batches(np.asarray(labels, np.int64)), strict=True)
        return [list(each) for each in both]

    def _latents(self, count: int, seed: int) -> np.ndarray:
        latents: np.ndarray = self.prior_draws(count, seed).numpy()
        return latents

    def prior_draws(self, count: int | tf.Tensor, seed: int | tf.Tensor) -> tf.Tensor:
        """Draws of z from the prior, a pure function of the seed: (count, latent_dim)."""
        if self.prior is None:
            return tf.random.stateless_normal(tf.stack([count, self.latent_dim]), tf.stack([seed, 0]))
        return self.prior.sample(count, seed)


def _parts(description: ModelDescription, trained: Trained) -> tuple[Any, Any, Prior]:
    """Encoder and decoder, each to be called with a batch, and the prior."""
    if isinstance(trained, SavedNetwork):
        return trained.encoder, trained.decoder, None
    network = build(description.network)
    arrays = network.ordered(trained)
    if isinstance(network, OwnNetwork):
        return *network.trained_models(arrays), None
    if not isinstance(network, Network):
        raise TypeError(f"a {type(network).__name__} has no Keras models")
    encoder: Any
    decoder: Any
    if isinstance(network, HierarchicalNetwork):
        encoder, decoder = trained_parts(network, arrays)
    else:
        encoder, decoder = encoder_model(network), decoder_model(network)
        encoder.set_weights(arrays[: len(encoder.weights)])
        decoder.set_weights(arrays[len(encoder.weights) : len(encoder.weights) + len(decoder.weights)])
    read = [tf.constant(array) for array in arrays]
    functions = functions_of(network.topology, read)
    return encoder, decoder, prior_of(network.topology, read, functions, clamp=description.clamp)


def _batches(array: np.ndarray) -> list[np.ndarray]:
    return [array[first : first + USE_BATCH] for first in range(0, len(array), USE_BATCH)]
