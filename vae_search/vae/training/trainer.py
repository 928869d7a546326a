"""Training of one trial: epochs, state, scores. A worker calls nothing else of this package."""

import gc
import resource
import sys
import time
from collections import OrderedDict

import numpy as np
import tensorflow as tf

from vae_search.core.measurements import Costs, Diverged, EpochMeasurement, Instability, Scores
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.network import Network, build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.evaluation_size import TRIAL_IWAE_SAMPLES
from vae_search.vae.objective.likelihoods import likelihood_of
from vae_search.vae.objective.pixels import fixed_train
from vae_search.vae.training.device import device_in_use, limit_gpus, limit_threads
from vae_search.vae.training.diagnostics import (
    MIN_EVALUATIONS,
    SPIKE_WINDOW_STEPS,
    active_units,
    bits_per_dim,
    instability,
    spike_excess,
)
from vae_search.vae.training.graph import GraphKey, Scalars, TrainingGraph
from vae_search.vae.training.plan import TrainingPlan

KEPT_GRAPHS = 8  # held at once; each costs 20–50 MB, and about a second to make again
TRAIN_SCORE_SEED = 778
OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)


class Trainer:
    """One process's training engine: the task's images, and the architectures it has compiled.

    Args:
        threads: cores of one trial; see `limit_threads`.
        gpus: of one trial; see `limit_gpus`.

    Raises:
        NodeTrouble: This machine does not have the GPUs that a trial needs, or not the memory of them.
        RuntimeError: TensorFlow already runs with other limits.
    """

    def __init__(self, task: TrainingTask, *, threads: int, gpus: float = 0.0) -> None:
        limit_threads(threads)
        limit_gpus(gpus, data_bytes=task.train.nbytes)
        self._device = device_in_use(gpus)
        self.task = task
        self._train = tf.convert_to_tensor(task.train)
        self._train_scored = fixed_train(task, len(task.select), seed=TRAIN_SCORE_SEED)
        self._graphs: OrderedDict[GraphKey, TrainingGraph] = OrderedDict()

    def start(self, config: Config, plan: TrainingPlan, *, seed: int) -> "TrainingRun":
        """A fresh run of `config`: fresh weights and optimizer state, whatever ran here before."""
        network = build(NetworkSpec.of(config, self.task.image_shape, likelihood=plan.likelihood))
        graph = self._graph(
            GraphKey(
                topology=network.topology,
                likelihood=likelihood_of(plan.likelihood, self.task.pixels.levels),
                clamp=plan.log_variance_clamp,
                clips=config.grad_clip > 0,
                decays=config.weight_decay > 0,
            )
        )
        return TrainingRun(graph, network, self.task, self._train_scored, config, plan, seed=seed, device=self._device)

    def _graph(self, key: GraphKey) -> TrainingGraph:
        if key not in self._graphs:
            while len(self._graphs) >= KEPT_GRAPHS:
                self._graphs.popitem(last=False)
                gc.collect()  # graphs and the functions that made them refer to each other
            self._graphs[key] = TrainingGraph(key, self.task, self._train)
        self._graphs.move_to_end(key)
        return self._graphs[key]


class TrainingRun:
    """One trial in training. Only the newest run of a graph may be used."""

    def __init__(
        self,
        graph: TrainingGraph,
        network: Network,
        task: TrainingTask,
        train_scored: np.ndarray,
        config: Config,
        plan: TrainingPlan,
        *,
        seed: int,
        device: str,
    ) -> None:
        self._graph = graph
        self._network = network
        self._task = task
        self._train_scored = train_scored
        self._config = config
        self._plan = plan
        self._seed = seed
        self._device = device
        self._recent_losses = np.zeros(0, np.float32)
        self.measurements: list[EpochMeasurement] = []
        steps = len(task.train) // config.batch_size
        graph.begin(
            initial_weights(
                network, seed=seed, latent_free=graph.key.likelihood.latent_free(network.biased_alike(task.pixels))
            ),
            Scalars(
                learning_rate=config.learning_rate,
                beta=config.beta,
                warmup_steps=float(config.kl_warmup_epochs * steps),
                cosine_steps=float(plan.epochs * steps) if plan.lr_schedule == "cosine" else 0.0,
                free_bits=config.free_bits,
                grad_clip=config.grad_clip,
                weight_decay=config.weight_decay,
                ema_decay=min(plan.ema_decay, 1.0 - 1.0 / max(steps, 2)),  # horizon of at most one epoch
            ),
            batch_size=config.batch_size,
        )

    @property
    def network_spec(self) -> NetworkSpec:
        """Network spec that rebuilds this trial's network."""
        return self._network.spec

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.measurements)

    def train_epoch(self) -> EpochMeasurement:
        """Train one epoch and score it on the select images.

        Raises:
            Diverged: A step's loss or the score is not finite.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        epoch = self.epoch + 1
        learning_rate = self._graph.learning_rate
        steps = self._graph.train_epoch(self._seed, epoch)
        if not np.isfinite(steps.losses).all():
            first = int(np.flatnonzero(~np.isfinite(steps.losses))[0])
            raise Diverged(f"the loss of step {first + 1} in epoch {epoch} is {steps.losses[first]}")
        excess = spike_excess(self._recent_losses, steps.losses)
        self._recent_losses = np.concatenate([self._recent_losses, steps.losses])[-SPIKE_WINDOW_STEPS:]
        beta = self._graph.beta
        distortion, rate = self._graph.evaluator.neg_elbo(self._graph.averages, self._task.select)
        iwae = self._iwae() if epoch in self._plan.iwae_epochs else None
        if not np.isfinite([distortion + rate, 0.0 if iwae is None else iwae]).all():
            raise Diverged(f"the held-out bound after epoch {epoch} is {distortion + rate}")
        measurement = EpochMeasurement(
            epoch=epoch,
            neg_elbo=distortion + rate,
            distortion=distortion,
            rate=rate,
            train_neg_elbo=float(steps.losses.mean(dtype=np.float64)),
            beta=beta,
            learning_rate=learning_rate,
            grad_norm_median=_finite(np.nanmedian(steps.grad_norms)),
            grad_norm_max=_finite(np.nanmax(steps.grad_norms)),
            clip_share=float(steps.clipped.mean()),
            skipped_steps=int(steps.skipped.sum()),
            clamped_share=float(steps.clamped_share.mean()),
            spike_excess=float(excess.mean()),
            cpu_s=time.process_time() - cpu,
            wall_s=time.perf_counter() - wall,
            scale_clamped_share=float(steps.scale_clamped_share.mean()) if self._graph.key.likelihood.limits else None,
            iwae=iwae,
        )
        self.measurements.append(measurement)
        return measurement

    def state(self) -> dict[str, np.ndarray]:
        """All arrays that continuing bit for bit needs; `measurements` go beside them."""
        return self._graph.state(self._network.names) | {"recent_losses": self._recent_losses}

    def restore(self, state: dict[str, np.ndarray], measurements: list[EpochMeasurement]) -> None:
        """Continue where `state()` and `measurements` were taken."""
        arrays = dict(state)
        self._recent_losses = arrays.pop("recent_losses")
        self._graph.restore(arrays, self._network.names)
        self.measurements = list(measurements)

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The weights that are scored and kept."""
        averages = [average.numpy() for average in self._graph.averages]
        return dict(zip(self._network.names, averages, strict=True))

    def scores(self) -> Scores:
        """Score the averaged weights in full. Training can go on afterwards."""
        evaluator, weights = self._graph.evaluator, self._graph.averages
        evaluation = evaluator.evaluate(weights, self._task.select)
        train_distortion, train_rate = evaluator.neg_elbo(weights, self._train_scored)
        last = self.measurements[-1]
        iwae = self._iwae() if last.iwae is None else last.iwae
        values = int(np.prod(self._task.image_shape))
        return Scores(
            neg_elbo=last.neg_elbo,
            distortion=last.distortion,
            rate=last.rate,
            bits_per_dim=bits_per_dim(last.neg_elbo, values),
            floor_excess=last.neg_elbo - self._task.floor - values * self._graph.key.likelihood.floor_per_value,
            iwae=iwae,
            iwae_k=TRIAL_IWAE_SAMPLES,
            instability=self._instability(),
            active_units=active_units(evaluation.mean),
            kl_per_dimension=tuple(float(value) for value in evaluation.kl.mean(axis=0, dtype=np.float64)),
            shuffle_gap=float(np.mean(evaluation.shuffled_distortion - evaluation.first_distortion, dtype=np.float64)),
            train_neg_elbo=train_distortion + train_rate,
            generalisation_gap=last.neg_elbo - (train_distortion + train_rate),
            logvar_clamp_share=last.clamped_share,
            scale_clamp_share=last.scale_clamped_share,
            clip_share=float(np.mean([measurement.clip_share for measurement in self.measurements])),
            skipped_steps=sum(measurement.skipped_steps for measurement in self.measurements),
            neg_bound=last.neg_bound,
        )

    def costs(self) -> Costs:
        """Cost of the epochs so far, scoring after each of them included.

        Raises:
            ValueError: No epoch is done yet.
        """
        if not self.measurements:
            raise ValueError("`epoch >= 1` must hold, but no epoch is done")
        seen = self.epoch * self._graph.steps_per_epoch * self._config.batch_size
        wall_s = sum(measurement.wall_s for measurement in self.measurements)
        return Costs(
            parameters=self._network.parameters,
            # A backward pass costs two forward passes: one matrix product for the inputs, one for the weights.
            train_flops=3.0 * self._network.forward_flops * seen,
            cpu_s=sum(measurement.cpu_s for measurement in self.measurements),
            wall_s=wall_s,
            images_per_s=seen / wall_s,
            peak_memory_bytes=_peak_memory_bytes(),
            compiled="graph",
            device=self._device,
        )

    def _iwae(self) -> float:
        """The importance-weighted bound of the averaged weights on the select images, nats per image."""
        bounds = self._graph.evaluator.iwae(self._graph.averages, self._task.select, TRIAL_IWAE_SAMPLES)
        return float(np.mean(bounds, dtype=np.float64))

    def _instability(self) -> Instability | None:
        warmup = self._config.kl_warmup_epochs
        if self.epoch - warmup < MIN_EVALUATIONS:
            return None
        return instability(
            [measurement.neg_elbo for measurement in self.measurements],
            [measurement.spike_excess for measurement in self.measurements],
            warmup_epochs=warmup,
        )


def _finite(value: np.floating) -> float:
    """A gradient norm for the record; overflow is stored as the largest float, NULL and NaN mean other things."""
    return float(np.nan_to_num(float(value), nan=sys.float_info.max, posinf=sys.float_info.max))


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
