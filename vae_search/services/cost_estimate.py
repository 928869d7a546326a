"""Cost estimate of a sweep before training, from its networks' shapes and this machine's matrix product."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.machine import this_machine
from vae_search.data.tasks import TrainingTask
from vae_search.search.capacity import WORKER_BYTES, local_capacity
from vae_search.search.limits.spending import HOUR_S
from vae_search.search.planning.plan_record import SweepPlan
from vae_search.search.pruning import rung_epochs
from vae_search.search.study.study import SweepStudy
from vae_search.services.limits.words import estimate_lines
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.vae.inference.scoring import JUDGE_IWAE_SAMPLES
from vae_search.vae.networks.network import BuiltNetwork, build
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.evaluation_size import LIKELIHOOD_COPIES, TRIAL_IWAE_SAMPLES, elbo_draws, held_at_once
from vae_search.vae.training.costs import flops_per_image

SAMPLED_CONFIGS = 16
MATRIX_SIZE = 1024
REACHED_SHARE = 0.5  # of the matrix product's speed that a training epoch of usual size reaches
START_S = 12.0  # Ray, and TensorFlow in each worker
COMPILE_S = 1.0  # of a trial whose topology its worker has not had yet
STATE_COPIES = 4  # weights, two moments, the average
WEIGHT_COPIES = 2  # their gradients, and the new weights of a step
VALUE_BYTES = 4
CHUNK_COPIES = 16  # of a batch: the images of several steps are made at once, and drawn
STEP_COPIES = 3  # of a layer's output in a step: before its activation, after it, and the gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Expected time, memory and disk space of a sweep, and its images; figures of costs are rough."""

    images: DatasetSummary
    rungs: tuple[int, ...]
    trial_epochs: float
    """epochs over all trials after pruning, and over the confirm runs; the most with `budget.patience`"""
    slots: int
    capacity: str
    """the sum that leads to the slots, in words"""
    time_s: float
    memory_bytes: int
    store_bytes: int
    warm_start: tuple[str, ...] = ()
    """sentences on what the sweep would take from earlier ones"""
    plan: SweepPlan | None = None
    """of a sweep that divides its time by itself, by an estimate of its speed"""
    spending: tuple[str, ...] = ()
    """sentences on limits of CPU- and GPU-hours"""


def expected_epochs(spec: SweepSpec) -> float:
    """Epochs of one trial on average: one in `reduction_factor` advances at each rung."""
    if spec.pruning is None:
        return float(spec.budget.epochs)
    rungs = rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs)
    expected, share, done = 0.0, 1.0, 0
    for stop in (*rungs, spec.budget.epochs):
        expected += share * (stop - done)
        share, done = share / spec.pruning.reduction_factor, stop
    return expected


def estimate(
    spec: SweepSpec, task: TrainingTask, images: DatasetSummary, *, warm_start: tuple[str, ...] = ()
) -> Estimate:
    """Costs of `spec` on this machine, from random configs of its space.

    Args:
        warm_start: as in the estimate.
    """
    study = SweepStudy(spec.search_space, sampler="random", seed=spec.seed)
    configs = [Config.from_params(study.ask(trial)) for trial in range(min(SAMPLED_CONFIGS, spec.budget.trials))]
    networks = [
        build(NetworkSpec.of(config, task.image_shape, likelihood=spec.likelihood, classes=task.classes))
        for config in configs
    ]
    costs = [
        flops_per_image(network, batch_size=config.batch_size)
        for network, config in zip(networks, configs, strict=True)
    ]
    flops = float(np.mean(costs))
    parameters = float(np.mean([network.parameters for network in networks]))
    image_bytes = task.memory_bytes
    capacity = local_capacity(spec.resources, this_machine(), data_bytes=image_bytes)
    slots = capacity.trials
    epochs = spec.budget.trials * expected_epochs(spec) + spec.confirm.runs * spec.confirm_epochs
    decoder_flops = float(np.mean([network.decoder_flops for network in networks]))
    work = epochs * epoch_flops(task, flops=flops, decoder_flops=decoder_flops)
    work += _scoring_flops(spec, images.parts, flops=flops, decoder_flops=decoder_flops)
    work += statistics.fmean(
        _decoded_again(spec, config, train=len(task.train), select=images.parts["select"]) * network.decoder_flops
        for config, network in zip(configs, networks, strict=True)
    )
    training_s = work / (REACHED_SHARE * matrix_flops_per_s())
    time_s = START_S + COMPILE_S * len({network.topology for network in networks}) + training_s / slots
    if spec.budget.minutes is not None:
        time_s = min(time_s, 60.0 * spec.budget.minutes)
    if spec.budget.cpu_hours is not None:
        time_s = min(time_s, START_S + HOUR_S * spec.budget.cpu_hours / slots)
    kept = min(spec.keep, spec.budget.trials) + spec.confirm.runs
    # Behind one in `reduction_factor` of the budget a trial ends; the others may wait at their rung, with a checkpoint.
    waiting = 0 if spec.pruning is None else spec.budget.trials // spec.pruning.reduction_factor
    return Estimate(
        images=images,
        rungs=rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs),
        trial_epochs=epochs,
        slots=slots,
        capacity=capacity.sum,
        time_s=time_s,
        memory_bytes=int(
            slots * (WORKER_BYTES + image_bytes + _working_bytes(spec, networks, images.parts)) + image_bytes
        ),
        store_bytes=int(4 * parameters * (kept + STATE_COPIES * (slots + waiting)) + 20_000 * spec.budget.trials),
        warm_start=warm_start,
        spending=estimate_lines(spec.budget, cpu_s=training_s),
    )


def epoch_flops(task: TrainingTask, *, flops: float, decoder_flops: float) -> float:
    """Cost of an epoch: the training images forwards and backwards, and the bound of the select images.

    Args:
        flops, decoder_flops: of one image through the whole network, and through its decoder.
    """
    select_passes = flops + (elbo_draws(len(task.select)) - 1) * decoder_flops
    return 3 * flops * len(task.train) + select_passes * len(task.select)


def _decoded_again(spec: SweepSpec, config: Config, *, train: int, select: int) -> float:
    """Images decoded because the last epochs train a bound of several draws, in all trials that come so far.

    Each draw beyond the first forwards and backwards, and after each such epoch the importance-weighted bound.

    Args:
        train, select: number of images.
    """
    if config.bound_samples == 1:
        return 0.0
    rungs = len(rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs))
    ends = spec.budget.trials / spec.pruning.reduction_factor**rungs if spec.pruning else spec.budget.trials
    runs = ((ends, spec.budget.epochs), (spec.confirm.runs, spec.confirm_epochs))
    weighted = sum(count * (epochs - config.elbo_epochs(epochs)) for count, epochs in runs)
    return weighted * (3 * (config.bound_samples - 1) * train + TRIAL_IWAE_SAMPLES * select)


def _scoring_flops(spec: SweepSpec, parts: Mapping[str, int], *, flops: float, decoder_flops: float) -> float:
    """Cost of the scores at rungs, at the end of trials and confirm runs, and of the test of a candidate.

    Args:
        parts: number of images by part.
        flops, decoder_flops: of one image through the whole network, and through its decoder.
    """

    def of(count: int, samples: int) -> float:
        return count * (2 * flops + (samples + elbo_draws(count)) * decoder_flops)

    select = (spec.budget.trials + spec.confirm.runs) * of(parts["select"], TRIAL_IWAE_SAMPLES)
    if spec.with_bound(None).bound == "iwae" and spec.pruning is not None:
        rungs = len(rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs))
        reached = spec.budget.trials * sum(spec.pruning.reduction_factor**-passed for passed in range(rungs))
        select += reached * parts["select"] * (flops + (TRIAL_IWAE_SAMPLES - 1) * decoder_flops)
    judge = spec.confirm.runs * of(parts["judge"], JUDGE_IWAE_SAMPLES)
    test = of(parts["test"], JUDGE_IWAE_SAMPLES) if spec.promote and spec.confirm.runs else 0.0
    return select + judge + test


def _working_bytes(spec: SweepSpec, networks: Sequence[BuiltNetwork], parts: Mapping[str, int]) -> int:
    """Memory of one worker beside images and TensorFlow: weights of the largest network, a step or an evaluation."""
    batch = spec.search_space.largest("batch_size", default=Config().batch_size)
    draws = spec.search_space.largest("bound_samples", default=1)
    scored = max(parts["select"], parts["judge"] if spec.confirm.runs else 0)
    found = 0
    for network in networks:
        outputs = network.layer_outputs
        per_value = network.spec.outputs_per_value + network.spec.shares_scale
        held = held_at_once(network.spec.image_shape, per_value, outputs)
        images_at_once = min(held.images, scored) * held.draws
        evaluation = images_at_once * (2 * max(outputs) + LIKELIHOOD_COPIES * outputs[-1])
        encoded = batch + (network.spec.prior_components if network.spec.prior == "vamp" else 0)
        step = STEP_COPIES * encoded * sum(outputs) + CHUNK_COPIES * batch * prod(network.spec.image_shape)
        # Of all layers, although only the decoder's are there once for each draw.
        step += (draws - 1) * batch * (STEP_COPIES * sum(outputs) + LIKELIHOOD_COPIES * outputs[-1])
        weights = (STATE_COPIES + WEIGHT_COPIES) * network.parameters
        found = max(found, VALUE_BYTES * (weights + max(step, evaluation)))
    return found


def matrix_flops_per_s() -> float:
    """Speed of one core in a large matrix product, the better of a few tries."""
    matrix = np.ones((MATRIX_SIZE, MATRIX_SIZE), np.float32)
    best_s = float("inf")
    for _ in range(3):
        cpu_s = time.process_time()
        matrix @ matrix
        best_s = min(best_s, time.process_time() - cpu_s)  # CPU time: NumPy may use several cores
    return 2.0 * MATRIX_SIZE**3 / best_s
