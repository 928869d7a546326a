"""Relations between the limits of a budget and the rest of a spec."""

from vae_search.core.validation import Problems


def limit_problems(
    *, stops: bool, pareto: bool, gpu_hours: float | None, gpus: float, cpu_hours: float | None, is_planned: bool
) -> Problems:
    """Problems of limits that could never be used.

    Args:
        stops: whether the search stops when nothing is left to gain.
        pareto: whether it has several criteria.
        gpus: of a trial.
        is_planned: whether the length of confirm runs is left to the minutes that remain, which know of no hours.
    """
    found: Problems = []
    if stops and pareto:
        text = "asks for the gain of one objective, but a Pareto sweep has several criteria. Leave it out."
        found.append((("budget", "stop"), text))
    if gpu_hours is not None and not gpus:
        text = f"counts nothing, since a trial has no GPU, but got {gpu_hours:g}. Set resources.gpus_per_trial as well."
        found.append((("budget", "gpu_hours"), text))
    for name, hours in (("cpu_hours", cpu_hours), ("gpu_hours", gpu_hours)):
        if hours is not None and is_planned:
            text = f"needs confirm.epochs as a number, since a plan divides minutes alone, but got {hours:g}. Set it."
            found.append((("budget", name), text))
    return found
