"""Words and payloads on limits of a sweep, for the command line, pages and programs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vae_search.search.limits.spending import HOUR_S

if TYPE_CHECKING:
    from vae_search.services.limits.limits_status import LimitsStatus
    from vae_search.spec.sections import Budget

UNITS = {"cpu_hours": "CPU-hours", "gpu_hours": "GPU-hours"}


def spending_facts(limits: "LimitsStatus", budget: "Budget") -> dict[str, Any] | None:
    """Hours spent, their limit and their forecast, by the limit's key; None for a sweep without such a limit."""
    if limits.spent is None:
        return None
    found: dict[str, Any] = {}
    for key, limit in (("cpu_hours", budget.cpu_hours), ("gpu_hours", budget.gpu_hours)):
        if limit is not None:
            spent, ahead = (
                None if each is None else (each.cpu_s if key == "cpu_hours" else each.gpu_s) / HOUR_S
                for each in (limits.spent, limits.forecast)
            )
            found[key] = {"spent": spent, "limit": limit, "forecast": ahead}
    return found


def estimate_lines(budget: "Budget", *, cpu_s: float) -> tuple[str, ...]:
    """Forecast for a sweep that nobody has begun, a sentence for each limit of hours.

    Args:
        cpu_s: that its trainings would take on this machine, roughly.
    """
    lines = []
    if budget.cpu_hours is not None:
        hours = cpu_s / HOUR_S
        fit = "" if hours <= budget.cpu_hours else ", so the search will end early"
        lines.append(
            f"Of {budget.cpu_hours:g} CPU-hours its products would take roughly {hours:.2g}, small networks take "
            f"several times that{fit}."
        )
    if budget.gpu_hours is not None:
        lines.append("How many GPU-hours it would take cannot be told before a trial has ended.")
    return tuple(lines)


def spending_lines(facts: Mapping[str, Any] | None, *, is_over: bool = False) -> list[str]:
    """Spending in words, a line for each limit, from `spending_facts`.

    Args:
        is_over: whether the search has ended, so that there is nothing to forecast.
    """
    lines = []
    for key, each in (facts or {}).items():
        line = f"{UNITS[key]}: {each['spent']:.3g} of {each['limit']:g} are spent"
        if each["forecast"] is not None and not is_over:
            enough = "enough" if each["forecast"] <= each["limit"] else "more than there is: the search will end early"
            line += f"; all trials and confirm runs would take about {each['forecast']:.3g}, {enough}"
        lines.append(f"{line}.")
    return lines


def limit_lines(status: Mapping[str, Any]) -> list[str]:
    """Lines on a sweep's limits, from its status as a payload: why its search stopped, and what it has spent."""
    stop = status.get("stop")
    is_over = stop is not None or status.get("state") == "finished"
    lines = [] if stop is None else [f"The search {stop}."]
    return [*lines, *spending_lines(status.get("spending"), is_over=is_over)]
