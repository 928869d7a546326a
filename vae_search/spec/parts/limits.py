"""Relations between the limits of a budget and the rest of a spec."""

from vae_search.core.validation import Problems


def limit_problems(*, stops: bool, pareto: bool, gpu_hours: float | None, gpus: float) -> Problems:
    """Problems of limits that could never be used.

    Args:
        stops: whether the search stops when nothing is left to gain.
        pareto: whether it has several criteria.
        gpus: of a trial.
    """
    found: Problems = []
    if stops and pareto:
        text = "asks for the gain of one objective, but a Pareto sweep has several criteria. Leave it out."
        found.append((("budget", "stop"), text))
    if gpu_hours is not None and not gpus:
        text = f"counts nothing, since a trial has no GPU, but got {gpu_hours:g}. Set resources.gpus_per_trial as well."
        found.append((("budget", "gpu_hours"), text))
    return found
