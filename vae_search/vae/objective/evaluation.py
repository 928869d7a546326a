"""The held-out bound of given weights: it depends on nothing that only training knows (invariant I6)."""

from dataclasses import dataclass
from math import prod

import numpy as np
import tensorflow as tf

from vae_search.data.tasks import ImageShape
from vae_search.vae.networks.forward import Tensors, WeightedNetwork
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import Topology, build
from vae_search.vae.objective.bounds import ElboTerms, elbo_terms, log_importance_weights
from vae_search.vae.objective.likelihoods import Likelihood, likelihood_of
from vae_search.vae.objective.pixels import as_intensities

EVALUATION_BATCH = 500  # fixed: another size would add up in another order and change the last bits
EVALUATION_SEED = 777
IWAE_CHUNK = 10  # importance samples whose noise is drawn at once
MOST_OUTPUTS = 2**25  # floats of the decoder held at once; a likelihood needs several times that in between


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Per-image results over one set of images, in its order. Nats."""

    distortion: np.ndarray
    """(n,) -E_q[log p(x|z)], one draw of z with noise fixed by position."""
    kl: np.ndarray
    """(n, latent_dim) analytic KL per latent."""
    mean: np.ndarray
    """(n, latent_dim) posterior means."""
    shuffled_distortion: np.ndarray
    """(n,) distortion with each image's latents taken from its neighbour in the batch."""

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
        outputs = EVALUATION_BATCH * prod(image_shape) * (1 if likelihood.limits is None else 2)
        self._draws_at_once = max(1, min(IWAE_CHUNK, MOST_OUTPUTS // outputs))
        weights = [tf.TensorSpec([None] * rank, tf.float32) for rank in topology.ranks]
        batches = tf.TensorSpec([None, EVALUATION_BATCH, *image_shape], tf.uint8)
        self._bound = tf.function(self._bound_of_batches, input_signature=[weights, batches], autograph=False)

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
        distortion, rate = self._bound(_read(weights), _batches(images))
        count = len(images)
        return (
            float(np.mean(distortion.numpy()[:count], dtype=np.float64)),
            float(np.mean(rate.numpy()[:count], dtype=np.float64)),
        )

    def evaluate(self, weights: Tensors, images: np.ndarray) -> Evaluation:
        """All per-image results.

        Eager: this runs once in a trial, and tracing a graph for it would take longer.
        """
        read = _read(weights)
        parts: dict[str, list[np.ndarray]] = {name: [] for name in Evaluation.__dataclass_fields__}
        for position, batch in enumerate(_batches(images)):
            terms = self._terms(read, tf.constant(batch), tf.constant(position))
            neighbours = self._network(read).decoder(tf.roll(terms.latents, 1, axis=0))
            shuffled = self._likelihood.distortion(self._seen(batch), neighbours)
            for name, value in (
                ("distortion", terms.distortion),
                ("kl", terms.kl),
                ("mean", terms.mean),
                ("shuffled_distortion", shuffled),
            ):
                parts[name].append(value.numpy())
        return Evaluation(**{name: np.concatenate(arrays)[: len(images)] for name, arrays in parts.items()})

    def iwae(self, weights: Tensors, images: np.ndarray, samples: int) -> np.ndarray:
        """The IWAE-`samples` bound on log p(x) of each image (Burda et al. 2016, eq. 8): (n,), nats; higher is better.

        The noise is fixed by position and draw. Eager, as `evaluate`: its operations are large.
        """
        read = _read(weights)
        bounds = []
        for position, batch in enumerate(_batches(images)):
            seen = self._seen(batch)
            log_sum = np.full(EVALUATION_BATCH, -np.inf)  # log of the sum of the weights so far
            for first in range(0, samples, IWAE_CHUNK):
                shape = [min(IWAE_CHUNK, samples - first), EVALUATION_BATCH, self._latent_dim(read)]
                noise = tf.random.stateless_normal(shape, [EVALUATION_SEED + position, first + 1])
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
        bound: np.ndarray = np.concatenate(bounds)[: len(images)]
        return bound

    def _terms(self, weights: Tensors, batch: tf.Tensor, position: tf.Tensor) -> ElboTerms:
        noise = tf.random.stateless_normal(
            [EVALUATION_BATCH, self._latent_dim(weights)], tf.stack([EVALUATION_SEED, position])
        )
        return elbo_terms(
            self._network(weights),
            self._seen(batch),
            noise,
            clamp=self._clamp,
            likelihood=self._likelihood,
        )

    def _seen(self, batch: tf.Tensor) -> tf.Tensor:
        return as_intensities(batch, self._likelihood.levels)

    def _network(self, weights: Tensors) -> WeightedNetwork:
        return WeightedNetwork(topology=self._topology, weights=weights)

    def _bound_of_batches(self, weights: Tensors, batches: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(batches)[0]
        distortions = tf.TensorArray(tf.float32, count)
        rates = tf.TensorArray(tf.float32, count)

        def score(
            position: tf.Tensor, distortions: tf.TensorArray, rates: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
            terms = self._terms(weights, batches[position], position)
            rate = tf.reduce_sum(terms.kl, axis=1)
            return position + 1, distortions.write(position, terms.distortion), rates.write(position, rate)

        start = (tf.constant(0), distortions, rates)
        _, distortions, rates = tf.while_loop(lambda position, *_: position < count, score, start)
        return distortions.concat(), rates.concat()

    def _latent_dim(self, weights: Tensors) -> tf.Tensor:
        return tf.shape(weights[self._topology.first_head + 1])[0]


def _read(weights: Tensors) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(weight) for weight in weights]


def _batches(images: np.ndarray) -> np.ndarray:
    """(n, h, w, c) -> (batches, EVALUATION_BATCH, h, w, c); the last batch is filled up with the first images."""
    count = -(-len(images) // EVALUATION_BATCH)
    positions = np.arange(count * EVALUATION_BATCH) % len(images)
    return images[positions].reshape(count, EVALUATION_BATCH, *images.shape[1:])
