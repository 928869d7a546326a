"""One architecture compiled once per process: weights, optimizer state and the graph of a training epoch.

Learning rate, beta and the other scalars are variables of the graph, so that the next trial with the same architecture
reuses it. All state is written anew at every trial's start: a kept network never keeps what it learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_search.data.task import TrainingTask
from vae_search.vae.bounds import gaussian_kl, posterior, sample_posterior
from vae_search.vae.evaluation import Evaluator
from vae_search.vae.images import draw_binary
from vae_search.vae.likelihoods import bernoulli_distortion
from vae_search.vae.networks import NetworkSpec, build, forward_flops

ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-7
CHUNK_STEPS = 8  # noise is drawn, and the moving average of the weights updated, once in so many steps
NORM_DECAY = 0.99  # of the running gradient norm that clipping refers to


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphKey:
    """All that is baked into a compiled epoch; whatever else a trial varies is a variable."""

    network: NetworkSpec
    batch_size: int
    clamp: tuple[float, float]
    clips: bool
    decays: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalars:
    """What differs between trials on one graph. `warmup_steps` and `cosine_steps` of 0 mean off."""

    learning_rate: float
    beta: float
    warmup_steps: float
    cosine_steps: float
    free_bits: float
    grad_clip: float
    weight_decay: float
    ema_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSteps:
    """What one epoch's steps recorded, each (steps,)."""

    losses: np.ndarray
    """distortion + rate at beta = 1 of each step's batch, nats per image"""
    grad_norms: np.ndarray
    clipped: np.ndarray
    skipped: np.ndarray
    clamped_share: np.ndarray
    """share of (image, latent) pairs whose log-variance met the clamp"""


class KeptNetwork:
    """A network with its optimizer, its moving average of weights and its compiled epoch."""

    def __init__(self, key: GraphKey, task: TrainingTask, train: tf.Tensor) -> None:
        self.key = key
        self.network = build(key.network)
        self.evaluator = Evaluator(self.network, key.clamp)
        self.forward_flops = forward_flops(self.network)
        self.steps_per_epoch = len(task.train) // key.batch_size
        self._task = task
        self._train = train
        self._weights: list[tf.Variable] = [variable.value for variable in self.network.variables]
        self._first_moments = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._second_moments = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._averages = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._counters = {
            "step": tf.Variable(0, dtype=tf.int64),
            "beta_1_power": tf.Variable(1.0),
            "beta_2_power": tf.Variable(1.0),
            "running_norm": tf.Variable(0.0),
        }
        self._scalars = {name: tf.Variable(0.0) for name in Scalars.__dataclass_fields__}
        self._records = {
            name: tf.Variable(tf.zeros([self.steps_per_epoch])) for name in EpochSteps.__dataclass_fields__
        }
        self._epoch = tf.function(self._run_epoch, reduce_retracing=True)

    def set_scalars(self, scalars: Scalars) -> None:
        """Take over one trial's scalars."""
        for name, variable in self._scalars.items():
            variable.assign(getattr(scalars, name))

    def reset(self, weights: Sequence[np.ndarray]) -> None:
        """Start a trial from these weights, with fresh optimizer state and the average equal to the weights."""
        for group in (self._weights, self._averages):
            for variable, value in zip(group, weights, strict=True):
                variable.assign(value)
        for variable in (*self._first_moments, *self._second_moments):
            variable.assign(tf.zeros_like(variable))
        for name, variable in self._counters.items():
            variable.assign(tf.cast(1 if name.endswith("power") else 0, variable.dtype))

    def state(self) -> dict[str, np.ndarray]:
        """All that the next step depends on, as plain arrays."""
        return {name: variable.numpy() for name, variable in self._state_variables().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continue from `state()` of a network with the same key, bit for bit.

        Raises:
            ValueError: Names or shapes are not this network's.
        """
        variables = self._state_variables()
        if set(state) != set(variables):
            raise ValueError(f"the state's arrays must be {sorted(variables)}, but got {sorted(state)}")
        for name, variable in variables.items():
            variable.assign(state[name])

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The moving average of the weights, by the network's names: what is evaluated, kept and promoted."""
        return {name: average.numpy() for name, average in zip(self.network.names, self._averages, strict=True)}

    def use_average(self) -> list[tf.Tensor]:
        """Put the average into the network and return the live weights, for `use_weights` afterwards."""
        live = [tf.identity(weight) for weight in self._weights]
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.assign(average)
        return live

    def use_weights(self, weights: Sequence[tf.Tensor | np.ndarray]) -> None:
        """Put `weights` into the network; optimizer state stays."""
        for variable, value in zip(self._weights, weights, strict=True):
            variable.assign(value)

    def train_epoch(self, seed: int, epoch: int) -> EpochSteps:
        """One pass over the training images. Order and noise are functions of (seed, epoch, step) alone."""
        self._epoch(tf.constant([seed, epoch], tf.int32))
        return EpochSteps(**{name: variable.numpy() for name, variable in self._records.items()})

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._rate_now().numpy())

    @property
    def beta(self) -> float:
        """The KL weight of the next step."""
        return float(self._beta_now().numpy())

    def _state_variables(self) -> dict[str, tf.Variable]:
        groups = {
            "weights": self._weights,
            "first_moments": self._first_moments,
            "second_moments": self._second_moments,
            "averages": self._averages,
        }
        arrays = {
            f"{group}/{name}": variable
            for group, variables in groups.items()
            for name, variable in zip(self.network.names, variables, strict=True)
        }
        return arrays | self._counters

    def _progress(self, steps: tf.Tensor) -> tf.Tensor:
        """Share of `steps` that is done; 1 when `steps` is 0 (off)."""
        done = tf.cast(self._counters["step"], tf.float32)
        return tf.where(steps > 0, tf.minimum(1.0, done / tf.maximum(steps, 1.0)), 1.0)

    def _rate_now(self) -> tf.Tensor:
        steps = tf.convert_to_tensor(self._scalars["cosine_steps"])
        cosine = 0.5 * (1.0 + tf.cos(np.pi * self._progress(steps)))
        return self._scalars["learning_rate"] * tf.where(steps > 0, cosine, 1.0)

    def _beta_now(self) -> tf.Tensor:
        return self._scalars["beta"] * self._progress(tf.convert_to_tensor(self._scalars["warmup_steps"]))

    def _run_epoch(self, seed: tf.Tensor) -> None:
        size, steps = self.key.batch_size, self.steps_per_epoch
        order = tf.random.experimental.stateless_shuffle(tf.range(len(self._task.train)), seed=seed)
        for first in tf.range(0, steps, CHUNK_STEPS):
            count = tf.minimum(CHUNK_STEPS, steps - first)
            chosen = order[first * size : (first + count) * size]
            # Two independent streams: the shuffle's seed is (seed, epoch), these are offset by the chunk.
            chunk_seed = seed + tf.stack([1, 0]) * (2 * first + 1) * 7919
            images = tf.gather(self._train, chosen)
            if self._task.dynamic:
                images = draw_binary(images, chunk_seed, scale=self._task.scale)
            else:
                images = tf.cast(images, tf.float32)
            noise_seed = chunk_seed + tf.constant([7919, 0])
            noise = tf.random.stateless_normal([count * size, self.key.network.latent_dim], noise_seed)
            for step in tf.range(count):
                part = slice(step * size, (step + 1) * size)
                images_now = tf.reshape(images[part], [size, *self.key.network.image_shape])
                noise_now = tf.reshape(noise[part], [size, self.key.network.latent_dim])
                self._step(images_now, noise_now, first + step)
            self._update_average(count)

    # No Python control flow over tensors in here; converting it would be a third of the tracing time.
    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _step(self, images: tf.Tensor, noise: tf.Tensor, index: tf.Tensor) -> None:
        low, high = self.key.clamp
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._weights)
            mean, log_variance, raw = posterior(self.network, images, self.key.clamp)
            latents = sample_posterior(mean, log_variance, noise)
            distortion = tf.reduce_mean(bernoulli_distortion(images, self.network.decoder(latents)))
            kl = tf.reduce_mean(gaussian_kl(mean, log_variance), axis=0)
            # Free bits (Kingma et al. 2016, eq. 15): below the threshold a latent's KL costs the same.
            penalty = tf.reduce_sum(tf.maximum(kl, self._scalars["free_bits"]))
            objective = distortion + self._beta_now() * penalty
        gradients = tape.gradient(objective, self._weights)
        norm = tf.linalg.global_norm(gradients)
        clipped, skipped = self._apply(gradients, norm)
        outside = tf.logical_or(raw < low, raw > high)
        record = {
            "losses": distortion + tf.reduce_sum(kl),
            "grad_norms": norm,
            "clipped": clipped,
            "skipped": skipped,
            "clamped_share": tf.reduce_mean(tf.cast(outside, tf.float32)),
        }
        for name, value in record.items():
            tf.raw_ops.ResourceScatterUpdate(resource=self._records[name].handle, indices=index, updates=value)

    def _apply(self, gradients: list[tf.Tensor], norm: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One optimizer step -> (1.0 if clipped, 1.0 if skipped). A step whose gradient is not finite is left out."""
        if not self.key.clips:
            self._adam(gradients)
            return tf.constant(0.0), tf.constant(0.0)
        running = self._counters["running_norm"]
        limit = self._scalars["grad_clip"] * running
        # The limit is relative: with an absolute one a model whose norm settled above it would never learn again.
        coefficient = tf.where(limit > 0, tf.minimum(1.0, limit / tf.maximum(norm, 1e-12)), 1.0)
        finite = tf.math.is_finite(norm)

        def apply() -> tf.Tensor:
            self._adam([gradient * coefficient for gradient in gradients])
            applied = norm * coefficient
            return running.assign(
                tf.where(running > 0, NORM_DECAY * running + (1 - NORM_DECAY) * applied, applied), read_value=True
            )

        tf.cond(finite, apply, lambda: tf.identity(running))
        return tf.cast(tf.logical_and(finite, coefficient < 1.0), tf.float32), 1.0 - tf.cast(finite, tf.float32)

    def _adam(self, gradients: list[tf.Tensor]) -> None:
        """Adam (Kingma & Ba 2015) by TensorFlow's fused kernel: an epoch is 15–25 % cheaper than in single ops.

        Weight decay is decoupled (Loshchilov & Hutter 2019) and leaves biases alone.
        """
        rate = self._rate_now()
        first_power = self._counters["beta_1_power"].assign(self._counters["beta_1_power"] * ADAM_BETA_1)
        second_power = self._counters["beta_2_power"].assign(self._counters["beta_2_power"] * ADAM_BETA_2)
        self._counters["step"].assign_add(1)
        groups = zip(self._weights, self._first_moments, self._second_moments, gradients, strict=True)
        for weight, first, second, gradient in groups:
            if self.key.decays and len(weight.shape) > 1:
                weight.assign_sub(rate * self._scalars["weight_decay"] * weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=first_power,
                beta2_power=second_power,
                lr=rate,
                beta1=ADAM_BETA_1,
                beta2=ADAM_BETA_2,
                epsilon=ADAM_EPSILON,
                grad=gradient,
            )

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _update_average(self, steps: tf.Tensor) -> None:
        """Move the average towards the weights, once for the last `steps` steps."""
        done = tf.cast(self._counters["step"], tf.float32)
        decay = tf.minimum(self._scalars["ema_decay"], (1.0 + done) / (10.0 + done))
        kept = tf.pow(decay, tf.cast(steps, tf.float32))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.assign_sub((1.0 - kept) * (average - weight))
