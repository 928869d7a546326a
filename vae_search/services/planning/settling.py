"""Settling of a spec that leaves numbers to a plan: measure the speed, divide the time, fill in the numbers.

A sweep that exists has been settled when it began, and keeps its numbers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vae_search.errors import ClusterTrouble
from vae_search.search.planning.plan import plan
from vae_search.search.planning.plan_record import SweepPlan, demands_of, interleaved, values_of
from vae_search.search.planning.speed import speed_of
from vae_search.services.planning.plan_words import plan_sentence
from vae_search.spec.hyperparameters import ParamValue

if TYPE_CHECKING:
    from vae_search.data.tasks import JudgeTask, Tasks, TrainingTask
    from vae_search.search.planning.speed import ProbeResult
    from vae_search.search.progress import Observer
    from vae_search.spec.sweep_spec import SweepSpec

DRAWN_CONFIGS = 16  # whose costs stand for those of the whole space
PROBE_SHARE = 0.02  # of the time, after which no further epoch of a probe begins
LEAST_PROBE_S = 1.0


def drawn_configs(spec: "SweepSpec") -> list[Mapping[str, ParamValue]]:
    """Configs that a sweep is going to begin with, of each family in turn."""
    from vae_search.search.study.study import SweepStudy

    study = SweepStudy(spec.search_space, sampler=spec.sampler, seed=spec.seed)
    return interleaved(
        [study.ask(trial, spec.enqueue[trial] if trial < len(spec.enqueue) else None) for trial in range(DRAWN_CONFIGS)]
    )


def settle(
    spec: "SweepSpec",
    *,
    task: "TrainingTask",
    judge_task: "JudgeTask",
    observer: "Observer",
    address: str | None,
    inline: bool,
    on_node: "Tasks | None" = None,
    wait_s: float | None = None,
) -> "tuple[SweepSpec, SweepPlan]":
    """Measure the speed of this data and machine, and divide the minutes of a new sweep.

    Args:
        address, inline: see `services.sweeps.run`.
        on_node, wait_s: see `runtime.sweep_runner.search`.

    Raises:
        ClusterTrouble: No worker could be timed.
    """
    minutes = spec.budget.minutes or 0.0
    observer.on_phase("measuring the speed of this data and machine")
    limit_s = max(LEAST_PROBE_S, PROBE_SHARE * 60.0 * minutes)
    drawn = drawn_configs(spec)
    if inline:
        found, workers = [_probe_here(spec, drawn, task, judge_task, limit_s=limit_s)], 1
    else:
        from vae_search.runtime.speed_probe import probe_workers

        found, workers = probe_workers(
            spec,
            drawn,
            task,
            judge_task,
            observer=observer,
            address=address,
            limit_s=limit_s,
            on_node=on_node,
            wait_s=wait_s,
        )
    timings = tuple(timing for each in found for timing in each.timings)
    if not timings:
        raise ClusterTrouble(
            f"sweep {spec.name}: its time cannot be planned, since no config could be timed on any worker.\n"
            "Write numbers for budget.trials and budget.epochs, or try again once a node holds a trial."
        )
    speed = speed_of(timings, found[0].costs)
    demands = demands_of(spec, shares_machine=address is None and not inline)
    divided = plan(minutes, workers, speed, demands)
    record = SweepPlan(minutes=minutes, workers=workers, speed=speed, plan=divided, timings=timings)
    observer.on_phase(plan_sentence(record))
    if not divided.fits:
        observer.on_warning(f"sweep {spec.name}: {minutes:g} minutes are too few for the least that it does here.")
    return spec.settled(values_of(divided, spec)), record


def _probe_here(
    spec: "SweepSpec",
    drawn: list[Mapping[str, ParamValue]],
    task: "TrainingTask",
    judge_task: "JudgeTask",
    *,
    limit_s: float,
) -> "ProbeResult":
    from vae_search.vae.quiet_import import native_remarks_hidden

    with native_remarks_hidden():
        from vae_search.search.worker.speed_probe import probe_speed

    return probe_speed(spec, drawn, drawn, task, judge_task, limit_s=limit_s)
