"""Forecast of a plan before anything is measured: the speed is an estimate from this machine's matrix product."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vae_search.core.machine import this_machine
from vae_search.search.capacity import local_capacity
from vae_search.search.planning.plan import plan
from vae_search.search.planning.plan_record import SweepPlan, demands_of, plan_in, values_of
from vae_search.search.planning.speed import ConfigCost, Timing, speed_of
from vae_search.services.cost_estimate import REACHED_SHARE, epoch_flops, matrix_flops_per_s
from vae_search.services.planning.settling import drawn_configs
from vae_search.spec.hyperparameters import Config
from vae_search.spec.planning.auto_keys import AUTO
from vae_search.store.paths import SweepPaths
from vae_search.vae.inference.scoring import JUDGE_IWAE_SAMPLES
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.evaluation_size import iwae_flops_per_epoch
from vae_search.vae.training.costs import mean_flops_per_image

if TYPE_CHECKING:
    from vae_search.data.tasks import TrainingTask
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.sweeps.sweep_record import SweepRecord


def forecast(spec: "SweepSpec", task: "TrainingTask", parts: Mapping[str, int]) -> "tuple[SweepSpec, SweepPlan]":
    """The spec of a new sweep as it may be settled here, and the plan that says so.

    Args:
        parts: number of images by part.
    """
    workers = local_capacity(spec.resources, this_machine(), data_bytes=task.memory_bytes).trials
    flops_per_s, minutes, timings = REACHED_SHARE * matrix_flops_per_s(), spec.budget.minutes or 0.0, list[Timing]()
    for params in drawn_configs(spec):
        config = Config.from_params(params)
        network = build(NetworkSpec.of(config, task.image_shape, likelihood=spec.likelihood, classes=task.classes))
        flops = mean_flops_per_image(network, config, epochs=spec.budget.epochs)
        work = epoch_flops(task, flops=flops, decoder_flops=network.decoder_flops) + iwae_flops_per_epoch(
            config, epochs=spec.budget.epochs, decoder_flops=network.decoder_flops, images=len(task.select)
        )
        judging = parts["judge"] * JUDGE_IWAE_SAMPLES * network.decoder_flops
        cost = ConfigCost(family=str(params.get("architecture")), epoch_flops=work)
        timings.append(Timing(cost=cost, epoch_s=work / flops_per_s, judge_s=judging / flops_per_s))
    speed = speed_of(timings, [timing.cost for timing in timings])
    divided = plan(minutes, workers, speed, demands_of(spec, shares_machine=True))
    record = SweepPlan(minutes=minutes, workers=workers, speed=speed, plan=divided)
    return _with_length(spec.settled(values_of(divided, spec)), record), record


def forecast_of(spec: "SweepSpec", existing: "SweepRecord") -> "tuple[SweepSpec, SweepPlan | None]":
    """The spec of a sweep that has begun, and the plan that it began with."""
    record = plan_in(existing.plan, path=SweepPaths(spec.name).resolved)
    return _with_length(spec.settled_as(existing.spec), record), record


def _with_length(spec: "SweepSpec", record: SweepPlan | None) -> "SweepSpec":
    """The spec with the forecast of its confirm runs' length."""
    if record is None or spec.confirm.epochs != AUTO:
        return spec
    confirm = spec.confirm.model_copy(update={"epochs": max(1, record.plan.confirm_epochs)})
    return spec.model_copy(update={"confirm": confirm})
