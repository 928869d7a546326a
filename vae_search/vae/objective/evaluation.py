"""The held-out bound of given weights: it depends on nothing that only training knows (invariant I6)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_search.data.tasks import ImageShape
from vae_search.vae.networks.forward import Tensors, WeightedNetwork
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import Topology, build
from vae_search.vae.objective.bounds import ElboTerms, elbo_terms, log_importance_weights, posterior, sample_posterior
from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH, IWAE_CHUNK, draws_at_once
from vae_search.vae.objective.likelihoods import Likelihood, likelihood_of
from vae_search.vae.objective.pixels import as_intensities

EVALUATION_SEED = 777


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Per-image results over one set of images, in its order. Nats."""

    distortion: np.ndarray
    """(n,) -E_q[log p(x|z)], one draw of z with noise fixed by position."""
    kl: np.ndarray
    """(n, latent_dim) analytic KL per latent."""
    mean: np.ndarray
    """(n, latent_dim) posterior means."""
    log_variance: np.ndarray
    """(n, latent_dim) posterior log-variances, clamped."""
    shuffled_distortion: np.ndarray
    """(n,) distortion with each image's latents taken from its neighbour in the batch, the last one's for the first.

    The last batch counts as filled up with the first images, so its first image has the latents of one of those.
    """

    @property
    def neg_elbo(self) -> np.ndarray:
        """(n,) distortion + rate at beta = 1."""
        neg_elbo: np.ndarray = self.distortion + self.kl.sum(axis=1)
        return neg_elbo


class Evaluator:
    """Scores weights of one topology; the plain graph, one batch size, fixed noise.

    Weights come in the order of `Network.shapes`; images are uint8 in 0 … levels - 1, (n, height, width, channels).
    """

    def __init__(
        self, topology: Topology, image_shape: ImageShape, *, clamp: tuple[float, float], likelihood: Likelihood
    ) -> None:
        self._topology = topology
        self._clamp = clamp
        self._likelihood = likelihood
        self._draws_at_once = draws_at_once(image_shape, 1 if likelihood.limits is None else 2)
        weights = [tf.TensorSpec([None] * rank, tf.float32) for rank in topology.ranks]
        images = tf.TensorSpec([None, *image_shape], tf.uint8)
        self._bound = tf.function(self._bound_of_images, input_signature=[weights, images], autograph=False)

    @classmethod
    def of(cls, description: ModelDescription) -> "Evaluator":
        """The evaluator of a described model.

        Raises:
            ValueError: Its likelihood is unknown.
        """
        return cls(
            build(description.network).topology,
            description.network.image_shape,
            clamp=description.clamp,
            likelihood=likelihood_of(description.likelihood, description.levels),
        )

    def neg_elbo(self, weights: Tensors, images: np.ndarray) -> tuple[float, float]:
        """Mean (distortion, rate), nats per image."""
        distortion, rate = self._bound(_read(weights), images)
        return float(np.mean(distortion.numpy(), dtype=np.float64)), float(np.mean(rate.numpy(), dtype=np.float64))

    def evaluate(self, weights: Tensors, images: np.ndarray) -> Evaluation:
        """All per-image results.

        Eager: this runs once in a trial, and tracing a graph for it would take longer.
        """
        read = _read(weights)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in Evaluation.__dataclass_fields__}
        for position, batch in enumerate(_batches(images)):
            terms = self._terms(read, tf.constant(batch), tf.constant(position))
            last = terms.latents[-1:]
            if len(batch) < EVALUATION_BATCH:
                last = self._last_latents(read, images, position)
            neighbours = self._network(read).decoder(tf.concat([last, terms.latents[:-1]], axis=0))
            shuffled = self._likelihood.distortion(self._seen(batch), neighbours)
            for name, value in (
                ("distortion", terms.distortion),
                ("kl", terms.kl),
                ("mean", terms.mean),
                ("log_variance", tf.clip_by_value(terms.raw_log_variance, *self._clamp)),
                ("shuffled_distortion", shuffled),
            ):
                parts[name].append(value.numpy())
        return Evaluation(**{name: np.concatenate(arrays) for name, arrays in parts.items()})

    def iwae(self, weights: Tensors, images: np.ndarray, samples: int) -> np.ndarray:
        """The IWAE-`samples` bound on log p(x) of each image (Burda et al. 2016, eq. 8): (n,), nats; higher is better.

        The noise is fixed by position and draw. Eager, as `evaluate`: its operations are large.
        """
        read = _read(weights)
        bounds = []
        for position, batch in enumerate(_batches(images)):
            seen = self._seen(batch)
            log_sum = np.full(len(batch), -np.inf)  # log of the sum of the weights so far
            for first in range(0, samples, IWAE_CHUNK):
                shape = [min(IWAE_CHUNK, samples - first), EVALUATION_BATCH, self._latent_dim(read)]
                noise = tf.random.stateless_normal(shape, [EVALUATION_SEED + position, first + 1])[:, : len(batch)]
                for part in range(0, shape[0], self._draws_at_once):
                    log_weights = log_importance_weights(
                        self._network(read),
                        seen,
                        noise[part : part + self._draws_at_once],
                        clamp=self._clamp,
                        likelihood=self._likelihood,
                    )
                    log_sum = np.logaddexp(log_sum, tf.reduce_logsumexp(log_weights, axis=0).numpy())
            bounds.append(log_sum - np.log(samples))
        bound: np.ndarray = np.concatenate(bounds)
        return bound

    def _terms(self, weights: Tensors, batch: tf.Tensor, position: tf.Tensor) -> ElboTerms:
        return elbo_terms(
            self._network(weights),
            self._seen(batch),
            self._noise(weights, position)[: tf.shape(batch)[0]],
            clamp=self._clamp,
            likelihood=self._likelihood,
        )

    def _noise(self, weights: Tensors, position: tf.Tensor) -> tf.Tensor:
        """Noise of a whole batch: (EVALUATION_BATCH, latent_dim)."""
        return tf.random.stateless_normal(
            [EVALUATION_BATCH, self._latent_dim(weights)], tf.stack([EVALUATION_SEED, position])
        )

    def _last_latents(self, weights: Tensors, images: np.ndarray, position: int) -> tf.Tensor:
        """Latents of the image that a batch ends with once it is filled up with the first ones: (1, latent_dim)."""
        image = images[[((position + 1) * EVALUATION_BATCH - 1) % len(images)]]
        mean, log_variance, _ = posterior(self._network(weights), self._seen(image), self._clamp)
        return sample_posterior(mean, log_variance, self._noise(weights, tf.constant(position))[-1:])

    def _seen(self, batch: tf.Tensor) -> tf.Tensor:
        return as_intensities(batch, self._likelihood.levels)

    def _network(self, weights: Tensors) -> WeightedNetwork:
        return WeightedNetwork(topology=self._topology, weights=weights)

    def _bound_of_images(self, weights: Tensors, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = -(-tf.shape(images)[0] // EVALUATION_BATCH)
        # A last batch may be shorter.
        distortions = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None])
        rates = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None])

        def score(
            position: tf.Tensor, distortions: tf.TensorArray, rates: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
            first = position * EVALUATION_BATCH
            terms = self._terms(weights, images[first : first + EVALUATION_BATCH], position)
            rate = tf.reduce_sum(terms.kl, axis=1)
            return position + 1, distortions.write(position, terms.distortion), rates.write(position, rate)

        start = (tf.constant(0), distortions, rates)
        _, distortions, rates = tf.while_loop(lambda position, *_: position < count, score, start)
        return distortions.concat(), rates.concat()

    def _latent_dim(self, weights: Tensors) -> tf.Tensor:
        return tf.shape(weights[self._topology.first_head + 1])[0]


def _read(weights: Tensors) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(weight) for weight in weights]


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive images, EVALUATION_BATCH at a time; of the last ones what there is."""
    for first in range(0, len(images), EVALUATION_BATCH):
        yield images[first : first + EVALUATION_BATCH]
