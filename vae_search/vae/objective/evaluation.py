"""The held-out bound of given weights: it depends on nothing that only training knows (invariant I6)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import numpy as np
import tensorflow as tf

from vae_search.data.random_access.image_reader import BLOCK_BYTES
from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.data.tasks import ImageShape
from vae_search.vae.networks.forward import (
    AnyTopology,
    Tensors,
    VaeFunctions,
    functions_of,
    is_conditional,
    latent_dim_of,
)
from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalTopology
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build
from vae_search.vae.objective.bounds import distortions, log_weights_given, posterior, posterior_given
from vae_search.vae.objective.evaluation_noise import evaluation_noise
from vae_search.vae.objective.evaluation_size import (
    EVALUATION_BATCH,
    IWAE_CHUNK,
    HeldAtOnce,
    elbo_draws,
    held_at_once,
)
from vae_search.vae.objective.likelihoods import Likelihood, likelihood_of
from vae_search.vae.objective.pixels import as_intensities
from vae_search.vae.objective.rates import drawn_rates, gaussian_kl, rates_of_draws, sample_posterior
from vae_search.vae.priors.learned import Prior, prior_of

_ONE_BY_ONE = {"parallel_iterations": 1}  # of a loop: several at once would hold the memory of several


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Per-image results over one set of images, in its order. Nats."""

    distortion: np.ndarray
    """(n,) -E_q[log p(x|z)], mean of several draws of z with noise fixed by position and draw."""
    rates: np.ndarray
    """(n, latent_dim) KL of each latent, analytic given the levels above it, of which there are draws; with a learned
    prior (n, 1), of all together, mean of the draws."""
    kl: np.ndarray
    """(n, latent_dim) `rates`; with a learned prior each latent's from its own marginal of the prior, by one draw."""
    mean: np.ndarray
    """(n, latent_dim) posterior means; of a lower level given the mean of the upper one, as its log-variances."""
    log_variance: np.ndarray
    """(n, latent_dim) posterior log-variances, clamped."""
    shuffled_distortion: np.ndarray
    """(n,) distortion of one draw with each image's latents taken from its neighbour in the batch.

    The last batch counts as filled up with the first images, so its first image has the latents of one of those.
    """
    first_distortion: np.ndarray
    """(n,) distortion of that draw with each image's own latents"""

    @property
    def neg_elbo(self) -> np.ndarray:
        """(n,) distortion + rate at beta = 1."""
        neg_elbo: np.ndarray = self.distortion + self.rates.sum(axis=1)
        return neg_elbo


class Evaluator:
    """Scores weights of one topology; plain operations, one batch size, fixed noise.

    Weights come in the order of `Network.shapes`; images are uint8 in 0 … levels - 1, (n, height, width, channels).
    Labels are theirs, (n,) whole numbers from 0 on, for a network that sees labels, and None for any other.
    A batch is scored in parts where its layers would take too much memory; its noise is that of the whole batch.
    """

    def __init__(
        self, topology: AnyTopology, image_shape: ImageShape, *, clamp: tuple[float, float], likelihood: Likelihood
    ) -> None:
        self._topology = topology
        self._image_shape = image_shape
        self._clamp = clamp
        self._likelihood = likelihood
        weights = [tf.TensorSpec([None] * rank, tf.float32) for rank in topology.ranks]
        images = tf.TensorSpec([None, *image_shape], tf.uint8)
        numbers, labels = [tf.TensorSpec([], tf.int32)] * 4, tf.TensorSpec([None], tf.int32)
        self._bound = tf.function(
            self._bound_of_images, input_signature=[weights, images, labels, *numbers], autograph=False
        )

    @classmethod
    def of(cls, description: ModelDescription, topology: AnyTopology | None = None) -> "Evaluator":
        """The evaluator of a described model.

        Args:
            topology: of its network, where that does not follow from the description, as of a SavedModel.

        Raises:
            ValueError: Its likelihood is unknown.
        """
        return cls(
            topology or build(description.network).topology,
            description.network.image_shape,
            clamp=description.clamp,
            likelihood=likelihood_of(description.likelihood, description.levels),
        )

    def neg_elbo(
        self, weights: Tensors, images: PixelArray, labels: np.ndarray | None = None, *, draws: int | None = None
    ) -> tuple[float, float]:
        """Mean (distortion, rate), nats per image.

        Args:
            labels: those behind the images are passed over.
            draws: of z for each image; default: as many as the number of images needs.
        """
        read = _read(weights)
        held = self._held_at_once(read)
        draws = draws or elbo_draws(len(images))
        at_once = len(images)
        if type(images) is not np.ndarray:  # in a file: too many to be held in one tensor
            at_once = held.images * max(1, BLOCK_BYTES // (held.images * prod(self._image_shape)))
        given = np.zeros(0, np.int32) if labels is None else labels[: len(images)]
        parts = [
            self._bound(
                read,
                images[first : first + at_once],
                tf.constant(given[first : first + at_once], tf.int32),
                first,
                draws,
                held.images,
                held.draws,
            )
            for first in range(0, len(images), at_once)
        ]
        distortion, rate = (np.concatenate([part.numpy() for part in found]) for found in zip(*parts, strict=True))
        return float(np.mean(distortion, dtype=np.float64)), float(np.mean(rate, dtype=np.float64))

    def evaluate(
        self, weights: Tensors, images: PixelArray, labels: np.ndarray | None = None, *, draws: int | None = None
    ) -> Evaluation:
        """All per-image results.

        Eager: this runs once in a trial, and tracing a graph for it would take longer.

        Args:
            draws: as for `neg_elbo`.
        """
        read = _read(weights)
        held, prior = self._held_at_once(read), self._prior(read)
        draws = draws or elbo_draws(len(images))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in Evaluation.__dataclass_fields__}
        for first in range(0, len(images), held.images):
            chosen = slice(first, first + held.images)
            seen, network = self._seen(images[chosen]), self._network(read, _of(labels, chosen))
            given = posterior_given(network, seen, self._clamp)
            noises = list(self._noises(read, first, len(seen), draws=draws, held=held))
            moments = [given(noise)[:2] for noise in noises]
            found = [
                distortions(network, seen, *each, noise, likelihood=self._likelihood).numpy()
                for each, noise in zip(moments, noises, strict=True)
            ]
            of_all, kl = rates_of_draws(moments, noises, prior)
            latents = sample_posterior(*given(noises[0][0])[:2], noises[0][0])
            mean, log_variance, _ = given(None)
            others = tf.concat([self._latents_before(read, images, labels, first), latents[:-1]], axis=0)
            for name, value in (
                ("distortion", np.concatenate(found).mean(axis=0, dtype=np.float64)),
                ("rates", of_all),
                ("kl", kl),
                ("mean", mean.numpy()),
                ("log_variance", log_variance.numpy()),
                ("shuffled_distortion", self._likelihood.distortion(seen, network.decoder(others)).numpy()),
                ("first_distortion", found[0][0]),
            ):
                parts[name].append(value)
        return Evaluation(**{name: np.concatenate(arrays) for name, arrays in parts.items()})

    def iwae(
        self,
        weights: Tensors,
        images: PixelArray,
        samples: int,
        *,
        labels: np.ndarray | None = None,
        threads: int = 1,
    ) -> np.ndarray:
        """The IWAE-`samples` bound on log p(x) of each image (Burda et al. 2016, eq. 8): (n,), nats; higher is better.

        The noise is fixed by position and draw. Eager, as `evaluate`: its operations are large.

        Args:
            threads: that score different images at once, each in memory of its own.
        """
        read = _read(weights)
        held, prior = self._held_at_once(read), self._prior(read)

        def bounds_from(first: int) -> np.ndarray:
            chosen = slice(first, first + held.images)
            seen, network = self._seen(images[chosen]), self._network(read, _of(labels, chosen))
            given = posterior_given(network, seen, self._clamp)
            log_sum = np.full(len(seen), -np.inf)  # log of the sum of the weights so far
            for noise in self._noises(read, first, len(seen), draws=samples, held=held):
                log_weights = log_weights_given(network, seen, given, noise, likelihood=self._likelihood, prior=prior)
                log_sum = np.logaddexp(log_sum, tf.reduce_logsumexp(log_weights, axis=0).numpy())
            bounds: np.ndarray = log_sum - np.log(samples)
            return bounds

        firsts = range(0, len(images), held.images)
        if threads == 1:
            found = [bounds_from(first) for first in firsts]
        else:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(bounds_from, firsts))
        bound: np.ndarray = np.concatenate(found)
        return bound

    def _noises(self, weights: Tensors, first: int, count: int, *, draws: int, held: HeldAtOnce) -> Iterator[tf.Tensor]:
        """Noise of all draws for the images from `first` on, as much as is held at once: (draws, count, latent_dim)."""
        position, place = divmod(first, EVALUATION_BATCH)
        for begun in range(0, draws, IWAE_CHUNK):
            latent_dim = latent_dim_of(self._topology, weights)
            noise = evaluation_noise(position, begun, draws=min(IWAE_CHUNK, draws - begun), latent_dim=latent_dim)
            for part in range(0, noise.shape[0], held.draws):
                yield noise[part : part + held.draws, place : place + count]

    def _latents_before(self, weights: Tensors, images: PixelArray, labels: np.ndarray | None, first: int) -> tf.Tensor:
        """Latents of the image before `first` in its batch, which is filled up with the first images: (1, latent_dim).

        Before the first image of a batch comes its last.
        """
        position, place = divmod(first, EVALUATION_BATCH)
        index = first - 1 if place else ((position + 1) * EVALUATION_BATCH - 1) % len(images)
        network = self._network(weights, _of(labels, slice(index, index + 1)))
        latent_dim = latent_dim_of(self._topology, weights)
        noise = evaluation_noise(position, 0, draws=1, latent_dim=latent_dim)[0, place - 1][None]
        mean, log_variance, _ = posterior(network, self._seen(images[[index]]), self._clamp, noise)
        return sample_posterior(mean, log_variance, noise)

    def _held_at_once(self, weights: Tensors) -> HeldAtOnce:
        shapes = [tuple(weight.shape) for weight in weights]
        outputs = 1 if self._likelihood.limits is None else 2
        return held_at_once(self._image_shape, outputs, self._topology.layer_outputs(shapes, self._image_shape))

    def _seen(self, batch: tf.Tensor) -> tf.Tensor:
        return as_intensities(tf.convert_to_tensor(batch), self._likelihood.levels)

    def _network(self, weights: Tensors, labels: tf.Tensor | None) -> VaeFunctions:
        return functions_of(self._topology, weights, labels=labels)

    def _prior(self, weights: Tensors) -> Prior:
        """The prior, once for all images: pseudo-inputs go through the encoder, and none has a label."""
        return prior_of(self._topology, weights, self._network(weights, None), clamp=self._clamp)

    def _bound_of_images(
        self,
        weights: Tensors,
        images: tf.Tensor,
        labels: tf.Tensor,
        begin: tf.Tensor,
        draws: tf.Tensor,
        images_held: tf.Tensor,
        draws_held: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Distortion and rate of each image; `begin` is the place of the first one among all that are scored."""
        latent_dim = latent_dim_of(self._topology, weights)
        prior = self._prior(weights)
        is_closed = prior is None and not isinstance(self._topology, HierarchicalTopology)
        count = -(-tf.shape(images)[0] // images_held)
        # A last part may be shorter.
        distortion = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None])
        rate = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None])

        def score(
            part: tf.Tensor, distortion: tf.TensorArray, rate: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
            first = part * images_held
            position, place = (begin + first) // EVALUATION_BATCH, (begin + first) % EVALUATION_BATCH
            seen = self._seen(images[first : first + images_held])
            own = labels[first : first + images_held] if is_conditional(self._topology) else None
            network = self._network(weights, own)
            given = posterior_given(network, seen, self._clamp)

            def add(begun: tf.Tensor, total: tf.Tensor, *of_rates: tf.Tensor) -> tuple[tf.Tensor, ...]:
                chunk = begun - begun % IWAE_CHUNK
                ends = tf.minimum(tf.minimum(begun + draws_held, chunk + IWAE_CHUNK), draws)
                size = tf.minimum(IWAE_CHUNK, draws - chunk)
                noise = evaluation_noise(position, chunk, draws=size, latent_dim=latent_dim)
                noise = noise[begun - chunk : ends - chunk, place : place + tf.shape(seen)[0]]
                mean, log_variance, _ = given(noise)
                found = distortions(network, seen, mean, log_variance, noise, likelihood=self._likelihood)
                sums = [total + tf.reduce_sum(found, axis=0)]
                if not is_closed:
                    sums.append(of_rates[0] + tf.reduce_sum(drawn_rates(mean, log_variance, noise, prior), axis=0))
                return ends, *sums

            begin_with = [tf.constant(0), *[tf.zeros(tf.shape(seen)[:1])] * (1 if is_closed else 2)]
            _, *sums = tf.while_loop(lambda begun, *_: begun < draws, add, begin_with, **_ONE_BY_ONE)
            total, *of_rates = [each / tf.cast(draws, tf.float32) for each in sums]
            if is_closed:
                of_rates = [tf.reduce_sum(gaussian_kl(*given(None)[:2]), axis=1)]
            return part + 1, distortion.write(part, total), rate.write(part, of_rates[0])

        start = (tf.constant(0), distortion, rate)
        _, distortion, rate = tf.while_loop(lambda part, *_: part < count, score, start, **_ONE_BY_ONE)
        return distortion.concat(), rate.concat()


def _of(labels: np.ndarray | None, chosen: slice) -> tf.Tensor | None:
    return None if labels is None else tf.constant(labels[chosen], tf.int32)


def _read(weights: Tensors) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(weight) for weight in weights]
