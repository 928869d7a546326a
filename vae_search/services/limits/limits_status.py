"""Standing of a sweep with its limits: a recorded stop, hours of processors spent, and their forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from vae_search.search.limits.spending import HOUR_S, Spent, confirm_need, forecast, has_limit, spent_by_all, used_limit
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.backends.base import Store
from vae_search.store.control.search_stop import SearchStop, read_stop
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.leaderboard import Leaderboard
from vae_search.store.sweeps.sweep_record import StoredRecord

if TYPE_CHECKING:
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsStatus:
    """Standing of a sweep with limits that its spec sets; nothing of those that it does not."""

    stop: SearchStop | None = None
    """the decision that nothing is left to gain"""
    spent: Spent | None = None
    """by all runs that have a row; None without a limit of hours"""
    forecast: Spent | None = None
    """of the whole sweep, at the pace so far; None before a trial has ended"""
    used: str | None = None
    """key of the limit of hours that is used, or would be by the confirm runs to come"""

    @property
    def ended_by(self) -> str | None:
        """Key of the limit that ends the search, below `budget`."""
        return "stop" if self.stop is not None else self.used

    def end_words(self, status: "SweepStatus") -> str | None:
        """Why the search has ended, and how to go on; None if none of these limits has ended it."""
        spec, resume = status.spec, f"vae-search resume {status.spec.name}"
        if self.stop is not None:
            return f"Its search {self.stop}.\nTo use the whole budget: `{resume} --set budget.stop=null`."
        if self.used is None or self.spent is None:
            return None
        limit, seconds, words = (
            (spec.budget.cpu_hours, self.spent.cpu_s, "CPU-hours")
            if self.used == "cpu_hours"
            else (spec.budget.gpu_hours, self.spent.gpu_s, "GPU-hours")
        )
        return (
            f"Its budget of {limit or 0:g} {words} is used, with {status.used} of {spec.budget.trials} trials ended.\n"
            f"Raise it to go on: `{resume} --set budget.{self.used}={ceil((limit or 0) + seconds / HOUR_S)}`."
        )


NO_LIMITS = LimitsStatus()


def limits_status(
    store: Store, spec: "SweepSpec", record: StoredRecord, leaderboard: Leaderboard, confirm_rows: Sequence[ConfirmRow]
) -> LimitsStatus:
    """Read where a sweep stands with its limits; nothing is read for one that sets none.

    Raises:
        Conflict: Its rows belong to different comparability keys (invariant I7).
    """
    budget, stop = spec.budget, None
    if budget.stop is not None:
        found = read_stop(store, record.sweep, incarnation=record.incarnation)
        stop = found if found is not None and found.holds_for(budget.stop, trials=budget.trials) else None
    if not has_limit(budget):
        return LimitsStatus(stop=stop)
    from vae_search.search.planning.finalists import finalists_in

    gpus, rows = spec.resources.gpus_per_trial, Ledger(store, record.sweep).read().rows
    spent = spent_by_all((*rows, *confirm_rows), gpus=gpus)
    finalists = finalists_in(leaderboard, spec.confirm.finalists, pareto_criteria(spec))
    # What goes on from a seed has ended as well, but is none of them.
    runs = spec.confirm.runs - sum(not row.continues for row in confirm_rows)
    epochs = spec.confirm_epochs
    confirm = confirm_need(finalists, runs=runs, epochs=epochs, budget_epochs=budget.epochs, gpus=gpus)
    searched = spent_by_all(rows, gpus=gpus)
    confirmed = spent_by_all(confirm_rows, gpus=gpus)
    to_come = forecast(searched, ended=len(rows), trials=budget.trials, confirm=confirm)
    return LimitsStatus(
        stop=stop,
        spent=spent,
        forecast=None if to_come is None else to_come + confirmed,
        used=used_limit(budget, spent, reserve=confirm),
    )
