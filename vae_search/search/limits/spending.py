"""Spending of a sweep in CPU and GPU seconds, counted from its rows: what `budget.cpu_hours` and its like limit.

A row has the seconds of all epochs of its run, those before a kill and a resume included, since measurements travel in
checkpoints; so nothing is counted twice. Work of which no measurement was saved is in no row: epochs after the last
checkpoint of a worker that was lost, and an epoch in which a trial failed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.measurements import Costs
from vae_search.store.ledger.rows import TrialRow

if TYPE_CHECKING:
    from vae_search.spec.sections import Budget

HOUR_S = 3600.0
CPU = "cpu"  # the device of a training without a GPU, as rows name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of processors that trainings have taken, or would take."""

    cpu_s: float = 0.0
    gpu_s: float = 0.0
    """seconds with a GPU, times the number or share of GPUs of a trial"""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(cpu_s=self.cpu_s + other.cpu_s, gpu_s=self.gpu_s + other.gpu_s)

    def times(self, factor: float) -> "Spent":
        """So many times as much."""
        return Spent(cpu_s=self.cpu_s * factor, gpu_s=self.gpu_s * factor)


def spent_by(costs: Costs | TrialRow | None, *, gpus: float) -> Spent:
    """Seconds of one run, from its row, or from its costs so far.

    Args:
        gpus: of a trial.
    """
    if costs is None:
        return Spent()
    on_gpu = costs.device is not None and costs.device != CPU
    return Spent(cpu_s=costs.cpu_s or 0.0, gpu_s=gpus * (costs.wall_s or 0.0) if on_gpu else 0.0)


def spent_by_all(runs: Iterable[Costs | TrialRow | None], *, gpus: float) -> Spent:
    """The same of several runs."""
    return sum((spent_by(run, gpus=gpus) for run in runs), start=Spent())


def has_limit(budget: "Budget") -> bool:
    """True if the budget limits what processors are spent."""
    return budget.cpu_hours is not None or budget.gpu_hours is not None


def used_limit(budget: "Budget", spent: Spent, *, reserve: Spent = Spent()) -> str | None:
    """Key of the limit that is used, or would be with the reserve; None if there is something left of all.

    Args:
        reserve: seconds that are kept for later.
    """
    spending = spent + reserve
    if budget.cpu_hours is not None and spending.cpu_s >= HOUR_S * budget.cpu_hours:
        return "cpu_hours"
    if budget.gpu_hours is not None and spending.gpu_s >= HOUR_S * budget.gpu_hours:
        return "gpu_hours"
    return None


def confirm_need(finalists: Iterable[TrialRow], *, runs: int, epochs: int, budget_epochs: int, gpus: float) -> Spent:
    """Seconds that confirm runs take, by the dearest of the finalists' own trainings; none without finalists.

    Args:
        runs: that are still to come.
        epochs: of a confirm run.
        budget_epochs: of a trial; one that patience has completed earlier is taken to be so again.
    """
    each = [
        spent_by(row, gpus=gpus).times(
            (epochs if row.epochs >= budget_epochs else min(row.epochs, epochs)) / row.epochs
        )
        for row in finalists
        if row.epochs
    ]
    most = Spent(
        cpu_s=max((one.cpu_s for one in each), default=0.0), gpu_s=max((one.gpu_s for one in each), default=0.0)
    )
    return most.times(max(0, runs))


def forecast(spent: Spent, *, ended: int, trials: int, confirm: Spent) -> Spent | None:
    """Seconds that a sweep takes in all, at the pace of the trials that have ended; None before the first.

    Args:
        spent: by these and by confirm runs that have ended.
        trials: budget of trials.
        confirm: need of the confirm runs to come.
    """
    return None if not ended else spent + spent.times(max(0, trials - ended) / ended) + confirm


def budget_words(budget: "Budget") -> str:
    """Limits of time in words: `30 minutes, 2 CPU-hours`."""
    limits = (("minutes", budget.minutes), ("CPU-hours", budget.cpu_hours), ("GPU-hours", budget.gpu_hours))
    return ", ".join(f"{limit:g} {name}" for name, limit in limits if limit is not None)
