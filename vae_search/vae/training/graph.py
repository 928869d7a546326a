"""The compiled training epoch of one topology: weights, optimizer state and the graph of a pass over the images.

Learning rate, beta and the other scalars are variables of the graph, and the sizes of weights and batches are known
only when it runs, so that most trials of a sweep find a graph that is there already. All state is written anew at every
trial's start: a graph never keeps what it learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_search.data.tasks import TrainingTask
from vae_search.spec.fields import Precision
from vae_search.vae.networks.forward import AnyTopology, VaeFunctions, functions_of, latent_dim_of
from vae_search.vae.networks.prior_weights import PRIOR_WEIGHTS
from vae_search.vae.objective.bounds import ElboTerms, elbo_terms, joined
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.likelihoods import Likelihood
from vae_search.vae.objective.pixels import as_intensities, draw_binary, mirrored
from vae_search.vae.priors.learned import Prior, prior_kind, prior_of
from vae_search.vae.training.image_feed import Gather
from vae_search.vae.training.optimizer import Adam, unsized
from vae_search.vae.training.weighted_gradients import WeightedGradients, weighted_gradients

CHUNK_STEPS = 8  # noise is drawn, and the moving average of the weights updated, once in so many steps


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphKey:
    """Constants of a compiled epoch; whatever else a trial varies is a variable."""

    topology: AnyTopology
    likelihood: Likelihood
    clamp: tuple[float, float]
    clips: bool
    decays: bool
    precision: Precision = "float32"
    """of the products of training; scores are float32 always"""
    mirrors: bool = False
    shards: int = 1
    """of a batch, which threads work on at once"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalars:
    """Settings that differ between trials on one graph. `warmup_steps` and `cosine_steps` of 0 mean off.

    The rate falls by a half cosine over `cosine_steps` that begin after `cosine_start`.
    """

    learning_rate: float
    beta: float
    warmup_steps: float
    cosine_steps: float
    free_bits: float
    grad_clip: float
    weight_decay: float
    ema_decay: float
    cosine_start: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSteps:
    """Records of one epoch's steps, each (steps,)."""

    losses: np.ndarray
    """distortion + rate at beta = 1 of each step's batch, nats per image"""
    grad_norms: np.ndarray
    clipped: np.ndarray
    skipped: np.ndarray
    clamped_share: np.ndarray
    """share of (image, latent) pairs whose log-variance met the clamp"""
    scale_clamped_share: np.ndarray
    """share of the likelihood's scales that met their limits"""
    weighted_losses: np.ndarray
    """negative importance-weighted bound at beta = 1, nats per image; means nothing in an epoch that trains the ELBO"""


class TrainingGraph:
    """The compiled epoch of one topology, with the weights, optimizer and averaged weights of one trial at a time."""

    def __init__(self, key: GraphKey, task: TrainingTask, gather: Gather) -> None:
        self.key = key
        self.evaluator = Evaluator(key.topology, task.image_shape, clamp=key.clamp, likelihood=key.likelihood)
        self._task = task
        self._gather = gather
        self._labels = None if task.labels is None else tf.constant(task.labels.train, tf.int32)
        self._batch_size = 0
        self._weights = [unsized(rank) for rank in key.topology.ranks]
        self._averages = [unsized(rank) for rank in key.topology.ranks]
        own = len(PRIOR_WEIGHTS[prior_kind(key.topology)])
        self._optimizer = Adam(self._weights, clips=key.clips, decays=key.decays, undecayed=own)
        self._scalars = {name: tf.Variable(0.0) for name in Scalars.__dataclass_fields__}
        self._records = {name: unsized(1) for name in EpochSteps.__dataclass_fields__}
        self._epoch = tf.function(
            self._run_epoch,
            input_signature=[tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)],
            autograph=False,  # half of the tracing time of a process's first graph
        )
        # Traced by the first trial that comes so far: the epoch above is the same whether there is one or not.
        self._weighted_epoch = tf.function(
            self._run_epoch,
            input_signature=[tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)],
            autograph=False,
        )

    def begin(self, weights: Sequence[np.ndarray], scalars: Scalars, *, batch_size: int) -> None:
        """Start a trial from these weights, with fresh optimizer state and the average equal to the weights."""
        self._batch_size = batch_size
        for name, variable in self._scalars.items():
            variable.assign(getattr(scalars, name))
        for group in (self._weights, self._averages):
            for variable, value in zip(group, weights, strict=True):
                variable.assign(value)
        self._optimizer.begin([value.shape for value in weights])
        for variable in self._records.values():
            variable.assign(np.zeros(self.steps_per_epoch, np.float32))

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch of the current trial; images that do not fill a last batch are left out for this epoch."""
        return len(self._task.train) // self._batch_size

    def state(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """All that the next step depends on, as plain arrays; `names` are the weights'."""
        return {name: variable.numpy() for name, variable in self._state_variables(names).items()}

    def restore(self, state: dict[str, np.ndarray], names: Sequence[str]) -> None:
        """Continue from `state()` of the same network, bit for bit.

        Raises:
            ValueError: Names or shapes are not this network's.
        """
        variables = self._state_variables(names)
        expected = {name: tuple(tf.shape(variable).numpy()) for name, variable in variables.items()}
        found = {name: value.shape for name, value in state.items()}
        if expected != found:
            wrong = sorted({*expected.items()} ^ {*found.items()})[:4]
            raise ValueError(f"the state's arrays must have the network's names and shapes, but differ in {wrong}")
        for name, variable in variables.items():
            variable.assign(state[name])

    @property
    def averages(self) -> list[tf.Variable]:
        """Moving average of the weights, in the network's order. It is evaluated, and kept of the best epoch."""
        return list(self._averages)

    def train_epoch(self, seed: int, epoch: int, *, samples: int = 1) -> EpochSteps:
        """One pass over the training images. Order and noise are functions of (seed, epoch, step) alone.

        Args:
            samples: draws of the importance-weighted bound that is trained; 1: the ELBO is.
        """
        given = tf.constant([seed, epoch], tf.int32), tf.constant(self._batch_size, tf.int32)
        if samples == 1:
            self._epoch(*given)
        else:
            self._weighted_epoch(*given, tf.constant(samples, tf.int32))
        return EpochSteps(**{name: variable.numpy() for name, variable in self._records.items()})

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._rate_now().numpy())

    @property
    def beta(self) -> float:
        """The KL weight of the next step."""
        return float(self._beta_now().numpy())

    def _state_variables(self, names: Sequence[str]) -> dict[str, tf.Variable]:
        weights = {f"weights/{name}": weight for name, weight in zip(names, self._weights, strict=True)}
        averages = {f"averages/{name}": average for name, average in zip(names, self._averages, strict=True)}
        return weights | averages | self._optimizer.state_variables(names)

    def _progress(self, steps: tf.Tensor, *, start: tf.Tensor | float = 0.0) -> tf.Tensor:
        """Share of the `steps` after `start` that is done; 1 when `steps` is 0 (off)."""
        done = tf.maximum(0.0, tf.cast(self._optimizer.steps, tf.float32) - start)
        return tf.where(steps > 0, tf.minimum(1.0, done / tf.maximum(steps, 1.0)), 1.0)

    def _rate_now(self) -> tf.Tensor:
        steps = tf.convert_to_tensor(self._scalars["cosine_steps"])
        start = tf.convert_to_tensor(self._scalars["cosine_start"])
        cosine = 0.5 * (1.0 + tf.cos(np.pi * self._progress(steps, start=start)))
        return self._scalars["learning_rate"] * tf.where(steps > 0, cosine, 1.0)

    def _beta_now(self) -> tf.Tensor:
        return self._scalars["beta"] * self._progress(tf.convert_to_tensor(self._scalars["warmup_steps"]))

    def _run_epoch(self, seed: tf.Tensor, size: tf.Tensor, draws: tf.Tensor | None = None) -> None:
        count = len(self._task.train)
        steps = count // size
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=seed)
        latent_dim = latent_dim_of(self.key.topology, self._weights)

        def train_chunk(first: tf.Tensor) -> tuple[tf.Tensor]:
            chunk = tf.minimum(CHUNK_STEPS, steps - first)
            chosen = order[first * size : (first + chunk) * size]
            # Two independent streams: the shuffle's seed is (seed, epoch), these are offset by the chunk.
            chunk_seed = seed + tf.stack([1, 0]) * (2 * first + 1) * 7919
            coming = order[(first + chunk) * size : tf.minimum(first + chunk + CHUNK_STEPS, steps) * size]
            images = self._gather(chosen, coming)
            if self.key.mirrors:
                images = mirrored(images, chunk_seed + tf.constant([2 * 7919, 0]))
            if self._task.dynamic:
                images = draw_binary(images, chunk_seed, scale=self._task.scale)
            else:
                images = as_intensities(images, self.key.likelihood.levels)
            labels = None if self._labels is None else tf.gather(self._labels, chosen)
            noise_seed = chunk_seed + tf.constant([7919, 0])
            shape = [chunk * size, latent_dim] if draws is None else [draws, chunk * size, latent_dim]
            noise = tf.random.stateless_normal(shape, noise_seed)

            def train_step(step: tf.Tensor) -> tuple[tf.Tensor]:
                part = slice(step * size, (step + 1) * size)
                own = None if labels is None else labels[part]
                if draws is None:
                    self._step(images[part], own, noise[part], first + step)
                else:
                    self._weighted_step(images[part], own, noise[:, part], first + step)
                return (step + 1,)

            tf.while_loop(lambda step: step < chunk, train_step, [tf.constant(0)], parallel_iterations=1)
            self._update_average(chunk)
            return (first + CHUNK_STEPS,)

        tf.while_loop(lambda first: first < steps, train_chunk, [tf.constant(0)], parallel_iterations=1)

    def _functions(self, labels: tf.Tensor | None) -> VaeFunctions:
        return functions_of(self.key.topology, self._weights, labels=labels, precision=self.key.precision)

    def _network(self, labels: tf.Tensor | None) -> tuple[VaeFunctions, Prior]:
        network = self._functions(labels)
        return network, prior_of(self.key.topology, self._weights, network, clamp=self.key.clamp)

    def _terms(self, images: tf.Tensor, labels: tf.Tensor | None, noise: tf.Tensor) -> ElboTerms:
        """Terms of a batch; its shards do not wait for each other, and together make what the whole one would."""
        _, prior = self._network(labels)
        size, shards, found = tf.shape(images)[0], self.key.shards, list[ElboTerms]()
        for shard in range(shards):
            part = slice(size * shard // shards, size * (shard + 1) // shards) if shards > 1 else slice(None)
            network = self._functions(None if labels is None else labels[part])
            seen, drawn, likelihood = images[part], noise[part], self.key.likelihood
            found.append(elbo_terms(network, seen, drawn, clamp=self.key.clamp, likelihood=likelihood, prior=prior))
        return joined(found)

    def _step(self, images: tf.Tensor, labels: tf.Tensor | None, noise: tf.Tensor, index: tf.Tensor) -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._weights)
            terms = self._terms(images, labels, noise)
            distortion = tf.reduce_mean(terms.distortion)
            kl = tf.reduce_mean(terms.kl, axis=0)
            # Free bits (Kingma et al. 2016, eq. 15): below the threshold a latent's KL costs the same. A learned prior
            # has no KL of single latents: they are one group, which has the free bits of all.
            free_bits = tf.convert_to_tensor(self._scalars["free_bits"])
            if prior_kind(self.key.topology) != "standard":
                free_bits *= tf.cast(tf.shape(noise)[1], tf.float32)
            penalty = tf.reduce_sum(tf.maximum(kl, free_bits))
            objective = distortion + self._beta_now() * penalty
        gradients = tape.gradient(objective, self._weights)
        self._update(gradients, terms, index, losses=distortion + tf.reduce_sum(kl))

    def _weighted_step(self, images: tf.Tensor, labels: tf.Tensor | None, noise: tf.Tensor, index: tf.Tensor) -> None:
        found = weighted_gradients(
            self._weights,
            lambda: self._network(labels),
            images,
            noise,
            clamp=self.key.clamp,
            likelihood=self.key.likelihood,
            beta=self._beta_now(),
        )
        self._update(found.gradients, found, index, losses=found.neg_elbo, weighted_losses=found.neg_bound)

    def _update(
        self,
        gradients: Sequence[tf.Tensor],
        terms: ElboTerms | WeightedGradients,
        index: tf.Tensor,
        **losses: tf.Tensor,
    ) -> None:
        """Step with these gradients, and record step `index` of the epoch."""
        low, high = self.key.clamp
        outcome = self._optimizer.step(
            gradients,
            rate=self._rate_now(),
            grad_clip=self._scalars["grad_clip"],
            weight_decay=self._scalars["weight_decay"],
        )
        outside = tf.logical_or(terms.raw_log_variance < low, terms.raw_log_variance > high)
        record = losses | {
            "grad_norms": outcome.norm,
            "clipped": outcome.clipped,
            "skipped": outcome.skipped,
            "clamped_share": tf.reduce_mean(tf.cast(outside, tf.float32)),
            "scale_clamped_share": self.key.likelihood.clamped_share(terms.output),
        }
        for name, value in record.items():
            tf.raw_ops.ResourceScatterUpdate(resource=self._records[name].handle, indices=index, updates=value)

    def _update_average(self, steps: tf.Tensor) -> None:
        """Move the average towards the weights, once for the last `steps` steps."""
        done = tf.cast(self._optimizer.steps, tf.float32)
        decay = tf.minimum(self._scalars["ema_decay"], (1.0 + done) / (10.0 + done))
        kept = tf.pow(decay, tf.cast(steps, tf.float32))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign_sub((1.0 - kept) * (average - weight))
