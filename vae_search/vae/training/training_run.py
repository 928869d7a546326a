"""Training of one trial: its epochs, state, scores and costs."""

import sys
import time

import numpy as np

from vae_search.core.measurements import Costs, Diverged, EpochMeasurement, Instability, Scores
from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.forward import Tensors
from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalNetwork
from vae_search.vae.networks.network import BuiltNetwork, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.aggregate_posterior import aggregate_posterior
from vae_search.vae.objective.evaluation_size import TRIAL_IWAE_SAMPLES
from vae_search.vae.priors.initial import with_first_prior
from vae_search.vae.training.best_epoch import PREFIX, BestEpoch
from vae_search.vae.training.costs import costs_of
from vae_search.vae.training.diagnostics import (
    SPIKE_WINDOW_STEPS,
    active_units,
    bits_per_dim,
    instability,
    spike_excess,
)
from vae_search.vae.training.graph import Scalars, TrainingGraph
from vae_search.vae.training.plan import TrainingPlan


class TrainingRun:
    """One trial in training. Only the newest run of a graph may be used."""

    def __init__(
        self,
        graph: TrainingGraph,
        network: BuiltNetwork,
        task: TrainingTask,
        train_scored: PixelArray,
        config: Config,
        plan: TrainingPlan,
        *,
        seed: int,
        baseline: float,
        device: str,
    ) -> None:
        self._graph = graph
        self._network = network
        self._task = task
        self._train_scored = train_scored
        self._config = config
        self._plan = plan
        self._seed = seed
        self._baseline = baseline
        self._device = device
        self._elbo_epochs = config.elbo_epochs(plan.epochs)
        self._recent_losses = np.zeros(0, np.float32)
        self.measurements: list[EpochMeasurement] = []
        steps = len(task.train) // config.batch_size
        latent_free = graph.key.likelihood.latent_free(network.biased_alike(task.pixels))
        fresh = initial_weights(network, seed=seed, latent_free=latent_free)
        graph.begin(
            with_first_prior(network, fresh, task, seed=seed, clamp=graph.key.clamp),
            Scalars(
                learning_rate=config.learning_rate,
                beta=config.beta,
                warmup_steps=float(config.kl_warmup_epochs * steps),
                cosine_steps=float(plan.decay_epochs * steps),
                cosine_start=float((plan.epochs - plan.decay_epochs) * steps),
                free_bits=config.free_bits,
                grad_clip=config.grad_clip,
                weight_decay=config.weight_decay,
                ema_decay=min(plan.ema_decay, 1.0 - 1.0 / max(steps, 2)),  # horizon of at most one epoch
            ),
            batch_size=config.batch_size,
        )
        self._best = BestEpoch(plan.stopping_rule(config), network.names, graph.averages)

    @property
    def network_spec(self) -> NetworkSpec:
        """Network spec that rebuilds this trial's network."""
        return self._network.spec

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.measurements)

    @property
    def best_epoch(self) -> int:
        """The epoch whose averaged weights are kept, scored and promoted; 0 before the first one."""
        return self._best.number

    @property
    def is_over(self) -> bool:
        """True after the last epoch: that of the plan, or an earlier one after which patience is over."""
        return self._best.training_is_over

    def train_epoch(self) -> EpochMeasurement:
        """Train one epoch and score it on the select images.

        Raises:
            Diverged: A step's loss or the score is not finite.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        epoch = self.epoch + 1
        learning_rate = self._graph.learning_rate
        is_weighted = epoch > self._elbo_epochs
        samples = self._config.bound_samples if is_weighted else 1
        steps = self._graph.train_epoch(self._seed, epoch, samples=samples)
        if not np.isfinite(steps.losses).all():
            first = int(np.flatnonzero(~np.isfinite(steps.losses))[0])
            raise Diverged(f"the loss of step {first + 1} in epoch {epoch} is {steps.losses[first]}")
        excess = spike_excess(self._recent_losses, steps.losses)
        self._recent_losses = np.concatenate([self._recent_losses, steps.losses])[-SPIKE_WINDOW_STEPS:]
        beta = self._graph.beta
        selected = self._task.select, self._task.select_labels
        distortion, rate = self._graph.evaluator.neg_elbo(self._graph.averages, *selected)
        iwae = self._iwae(self._graph.averages) if is_weighted or epoch in self._plan.iwae_epochs else None
        if not np.isfinite([distortion + rate, 0.0 if iwae is None else iwae]).all():
            raise Diverged(f"the held-out bound after epoch {epoch} is {distortion + rate}, IWAE {iwae}")
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
            train_neg_iwae=float(steps.weighted_losses.mean(dtype=np.float64)) if is_weighted else None,
        )
        self.measurements.append(measurement)
        self._best.note(self._neg_trained_bounds())
        return measurement

    def state(self) -> dict[str, np.ndarray]:
        """All arrays that continuing bit for bit needs; `measurements` go beside them."""
        own = {"recent_losses": self._recent_losses} | self._best.state()
        return self._graph.state(self._network.names) | own

    def restore(self, state: dict[str, np.ndarray], measurements: list[EpochMeasurement]) -> None:
        """Continue where `state()` and `measurements` were taken.

        Raises:
            ValueError: The arrays are not this network's, or those of the best epoch are missing.
        """
        arrays = dict(state)
        self._recent_losses = arrays.pop("recent_losses")
        best = {name: arrays.pop(name) for name in list(arrays) if name.startswith(PREFIX)}
        self._graph.restore(arrays, self._network.names)
        self.measurements = list(measurements)
        self._best.restore(best, self._neg_trained_bounds())

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The averages of the best epoch, which are scored and kept; before the first one the initial weights."""
        return dict(zip(self._network.names, self._best.weights, strict=True))

    def scores(self) -> Scores:
        """Score the averages of the best epoch in full. Training can go on afterwards."""
        evaluator, weights = self._graph.evaluator, self._best.weights
        evaluation = evaluator.evaluate(weights, self._task.select, self._task.select_labels)
        aggregate = None
        if not isinstance(self._network, HierarchicalNetwork):  # a mixture of its posteriors has no Gaussian components
            aggregate = aggregate_posterior(evaluation.mean, evaluation.log_variance, evaluation.rates)
        train_distortion, train_rate = evaluator.neg_elbo(weights, self._train_scored, self._train_labels)
        best = self.measurements[self.best_epoch - 1]
        iwae = self._iwae(weights) if best.iwae is None else best.iwae
        values = int(np.prod(self._task.image_shape))
        floor = self._task.floor + values * self._graph.key.likelihood.floor_per_value
        return Scores(
            neg_elbo=best.neg_elbo,
            distortion=best.distortion,
            rate=best.rate,
            bits_per_dim=bits_per_dim(best.neg_elbo, values),
            floor_excess=best.neg_elbo - floor,
            iwae=iwae,
            iwae_k=TRIAL_IWAE_SAMPLES,
            instability=self._instability(floor) if self._plan.measures_instability else None,
            active_units=active_units(evaluation.mean),
            kl_per_dimension=tuple(float(value) for value in evaluation.kl.mean(axis=0, dtype=np.float64)),
            shuffle_gap=float(np.mean(evaluation.shuffled_distortion - evaluation.first_distortion, dtype=np.float64)),
            mutual_information=aggregate.mutual_information if aggregate else None,
            marginal_kl=aggregate.marginal_kl if aggregate else None,
            train_neg_elbo=train_distortion + train_rate,
            generalisation_gap=best.neg_elbo - (train_distortion + train_rate),
            logvar_clamp_share=best.clamped_share,
            scale_clamp_share=best.scale_clamped_share,
            clip_share=float(np.mean([measurement.clip_share for measurement in self.measurements])),
            skipped_steps=sum(measurement.skipped_steps for measurement in self.measurements),
            best_epoch=self.best_epoch,
            neg_bound=-iwae if self._plan.iwae_epochs else best.neg_elbo,
        )

    def costs(self, *, after: int = 0) -> Costs:
        """Cost of the epochs so far, scoring after each of them included.

        Args:
            after: epoch until which another run has paid.

        Raises:
            ValueError: No epoch is done since.
        """
        own = self.measurements[after:]
        if not own:
            raise ValueError(f"`epoch > {after}` must hold, but got {self.epoch}")
        seen = len(own) * self._graph.steps_per_epoch * self._config.batch_size
        return costs_of(own, self._network, images=seen, config=self._config, device=self._device)

    def _iwae(self, weights: Tensors) -> float:
        """The importance-weighted bound of weights on the select images, nats per image."""
        labels = self._task.select_labels
        bounds = self._graph.evaluator.iwae(weights, self._task.select, TRIAL_IWAE_SAMPLES, labels=labels)
        return float(np.mean(bounds, dtype=np.float64))

    @property
    def _train_labels(self) -> np.ndarray | None:
        """Labels of the first training images, which are scored."""
        labels = self._task.labels
        return None if labels is None else labels.train[: len(self._train_scored)]

    def _neg_trained_bounds(self) -> list[float]:
        return [measurement.neg_trained_bound for measurement in self.measurements]

    def _instability(self, floor: float) -> Instability:
        return instability(
            [measurement.neg_elbo for measurement in self.measurements],
            [measurement.train_neg_bound for measurement in self.measurements],
            [measurement.spike_excess for measurement in self.measurements],
            warmup_epochs=self._config.kl_warmup_epochs,
            rate=self.measurements[-1].rate,
            baseline=self._baseline,
            floor=floor,
        )


def _finite(value: np.floating) -> float:
    """A gradient norm for the record; overflow is stored as the largest float, NULL and NaN mean other things."""
    return float(np.nan_to_num(float(value), nan=sys.float_info.max, posinf=sys.float_info.max))
