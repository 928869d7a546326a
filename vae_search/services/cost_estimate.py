"""Cost estimate of a sweep before training, from its networks' shapes and this machine's matrix product."""

import time
from dataclasses import dataclass

import numpy as np

from vae_search.core.machine import this_machine
from vae_search.data.tasks import TrainingTask
from vae_search.search.capacity import WORKER_BYTES, local_capacity
from vae_search.search.pruning import rung_epochs
from vae_search.search.study.study import SweepStudy
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec

SAMPLED_CONFIGS = 16
MATRIX_SIZE = 1024
REACHED_SHARE = 0.5  # of the matrix product's speed that a training epoch of usual size reaches
START_S = 12.0  # Ray, and TensorFlow in each worker
COMPILE_S = 1.0  # of a trial whose topology its worker has not had yet
STATE_COPIES = 4  # weights, two moments, the average


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Expected time, memory and disk space of a sweep; figures are rough."""

    rungs: tuple[int, ...]
    trial_epochs: float
    """epochs over all trials after pruning, and over the confirm runs"""
    slots: int
    capacity: str
    """the sum that leads to the slots, in words"""
    time_s: float
    memory_bytes: int
    store_bytes: int


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


def estimate(spec: SweepSpec, task: TrainingTask) -> Estimate:
    """Costs of `spec` on this machine, from random configs of its space."""
    study = SweepStudy(spec.search_space, sampler="random", seed=spec.seed)
    networks = [
        build(NetworkSpec.of(Config.from_params(study.ask(trial)), task.image_shape, likelihood=spec.likelihood))
        for trial in range(min(SAMPLED_CONFIGS, spec.budget.trials))
    ]
    flops = float(np.mean([network.forward_flops for network in networks]))
    parameters = float(np.mean([network.parameters for network in networks]))
    images = task.train.nbytes + task.select.nbytes
    capacity = local_capacity(spec.resources, this_machine(), data_bytes=images)
    slots = capacity.trials
    epochs = spec.budget.trials * expected_epochs(spec) + spec.confirm.runs * spec.confirm_epochs
    image_flops = flops * (3 * len(task.train) + len(task.select))
    training_s = epochs * image_flops / (REACHED_SHARE * _matrix_flops_per_s())
    time_s = START_S + COMPILE_S * len({network.topology for network in networks}) + training_s / slots
    if spec.budget.minutes is not None:
        time_s = min(time_s, 60.0 * spec.budget.minutes)
    kept = min(spec.keep, spec.budget.trials) + spec.confirm.runs
    return Estimate(
        rungs=rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs),
        trial_epochs=epochs,
        slots=slots,
        capacity=capacity.sum,
        time_s=time_s,
        memory_bytes=int(slots * (WORKER_BYTES + images) + images),
        store_bytes=int(4 * parameters * (kept + STATE_COPIES * slots) + 20_000 * spec.budget.trials),
    )


def _matrix_flops_per_s() -> float:
    """Speed of one core in a large matrix product, the better of a few tries."""
    matrix = np.ones((MATRIX_SIZE, MATRIX_SIZE), np.float32)
    best_s = float("inf")
    for _ in range(3):
        cpu_s = time.process_time()
        matrix @ matrix
        best_s = min(best_s, time.process_time() - cpu_s)  # CPU time: NumPy may use several cores
    return 2.0 * MATRIX_SIZE**3 / best_s
