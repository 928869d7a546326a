"""Probe of a worker's speed: an epoch or two of the configs that a sweep tries first, and a taste of their judging.

What it trains is thrown away: the first trials begin anew, with everything that the plan decides about them.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from vae_search.core.measurements import Diverged
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.search.planning.speed import ConfigCost, ProbeResult, Timing
from vae_search.spec.hyperparameters import Config, ParamValue
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.evaluation_size import iwae_flops_per_epoch
from vae_search.vae.training.costs import mean_flops_per_image
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer
from vae_search.vae.training.training_run import TrainingRun

logger = logging.getLogger(__name__)

TASTED_IMAGES = 100  # of the judge images, the same number for every config


def probe_speed(
    spec: SweepSpec,
    drawn: Sequence[Mapping[str, ParamValue]],
    timed: Sequence[Mapping[str, ParamValue]],
    task: TrainingTask,
    judge_task: JudgeTask,
    *,
    limit_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> ProbeResult:
    """Time configs one after another until the limit; at least the first.

    Args:
        drawn: configs of the space, whose costs are to be known.
        timed: those of them that this worker is to train.
        limit_s: after which no further epoch begins.
    """
    trainer = Trainer.of(spec, task)
    begun_s, timings = monotonic(), list[Timing]()
    for params in ({**params, "bound_samples": 1} for params in timed):  # its first epochs train the ELBO
        if timings and monotonic() - begun_s >= limit_s:
            break
        run = trainer.start(Config.from_params(params), TrainingPlan.of(spec), seed=spec.seed)
        try:
            run.train_epoch()  # which compiles the topology as well
            if not timings or monotonic() - begun_s < limit_s:
                run.train_epoch()
        except Diverged as error:
            logger.warning("a config that was to be timed has diverged: %s", error)
            continue
        timings.append(
            Timing(
                cost=cost_of(spec, params, task),
                epoch_s=run.measurements[-1].wall_s,
                judge_s=_judge_s(run, spec, trainer, judge_task, monotonic=monotonic),
            )
        )
    return ProbeResult(timings=tuple(timings), costs=tuple(cost_of(spec, params, task) for params in drawn))


def cost_of(spec: SweepSpec, params: Mapping[str, ParamValue], task: TrainingTask) -> ConfigCost:
    """Cost of a config's epochs on these images, on average, and of the importance-weighted bound after some of them.

    A backward pass costs two forward passes.
    """
    config = Config.from_params(params)
    network = build(NetworkSpec.of(config, task.image_shape, likelihood=spec.likelihood, classes=task.classes))
    epochs, select = spec.budget.epochs, len(task.select)
    trained = 3.0 * mean_flops_per_image(network, config, epochs=epochs) * len(task.train)
    scored = iwae_flops_per_epoch(config, epochs=epochs, decoder_flops=network.decoder_flops, images=select)
    return ConfigCost(family=str(params.get("architecture", Config().architecture)), epoch_flops=trained + scored)


def _judge_s(
    run: TrainingRun, spec: SweepSpec, trainer: Trainer, judge_task: JudgeTask, *, monotonic: Callable[[], float]
) -> float:
    """Seconds that the judging of all images would take, by some of them; their first pass does not count."""
    some = judge_task.first(TASTED_IMAGES)
    description = ModelDescription(
        network=run.network_spec, levels=trainer.task.pixels.levels, clamp=spec.log_variance_clamp
    )
    judge(run.averaged_weights(), description, some, iwae_samples=1)
    begun_s = monotonic()
    judge(run.averaged_weights(), description, some)
    return (monotonic() - begun_s) * len(judge_task.images) / len(some.images)
