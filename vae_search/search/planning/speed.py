"""Speed of a machine on a data set: seconds per operation of the configs that were tried, and what follows for others.

Configs of one search space differ in width and family. Their operations are known before they are trained; how many of
them a second does depends on the family, so that each has a factor of its own.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from vae_search.search.planning.plan import Speed

COSTLY = 0.75  # quantile of the costs of a space's configs that a finalist is taken to have


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigCost:
    """Cost of one config before it is trained."""

    family: str
    epoch_flops: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Measured cost of one config, while every other worker was busy as well."""

    cost: ConfigCost
    epoch_s: float
    judge_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Timings of the configs that were tried, and the costs of all that were drawn."""

    timings: tuple[Timing, ...]
    costs: tuple[ConfigCost, ...]


def speed_of(timings: Sequence[Timing], costs: Sequence[ConfigCost]) -> Speed:
    """The speed of a space's configs, from those that were timed.

    Args:
        costs: of configs drawn from the space.

    Raises:
        ValueError: Nothing was timed.
    """
    if not timings or not costs:
        raise ValueError("there must be a config that was timed, and one whose cost is known")
    by_family: dict[str, list[float]] = defaultdict(list)
    for timing in timings:
        by_family[timing.cost.family].append(timing.epoch_s / timing.cost.epoch_flops)
    overall = statistics.median(timing.epoch_s / timing.cost.epoch_flops for timing in timings)
    factor = {family: statistics.median(found) for family, found in by_family.items()}
    epochs_s = sorted(cost.epoch_flops * factor.get(cost.family, overall) for cost in costs)
    mean_s = statistics.fmean(epochs_s)
    return Speed(
        epoch_s=mean_s,
        slow_epoch_s=max(mean_s, epochs_s[int(COSTLY * (len(epochs_s) - 1))]),
        judge_epochs=statistics.median(timing.judge_s / timing.epoch_s for timing in timings),
    )
