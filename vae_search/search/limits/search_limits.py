"""Limits of a search beside its trials: minutes, CPU- and GPU-hours, and a stop when nothing is left to gain."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from vae_search.core.trial_state import State
from vae_search.search.confirmation import ConfirmationPlan
from vae_search.search.limits.gain_rule import forecast_gain
from vae_search.search.limits.spending import Spent, confirm_need, has_limit, spent_by, spent_by_all, used_limit
from vae_search.search.running_trial import RunningTrial, SweepContext
from vae_search.spec.sections import Budget
from vae_search.store.backends.base import Store
from vae_search.store.control.search_stop import SearchStop, read_stop, write_stop
from vae_search.store.leases.lease import Lease
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.rows import TrialRow

logger = logging.getLogger(__name__)


class SearchLimits:
    """Decisions on when a search, and a sweep, has used what it may.

    Args:
        plan: of the confirm runs, whose need is kept free.
        seconds_left: of the time budget; infinite if there is none.
        slots: how many trials run at once.
    """

    def __init__(
        self,
        context: SweepContext,
        *,
        store: Store,
        lease: Lease,
        plan: ConfirmationPlan,
        seconds_left: Callable[[], float],
        slots: Callable[[], int],
    ) -> None:
        self.unfinished: Callable[[], Iterable[RunningTrial]] = tuple
        """runs without a row, those that wait at a rung included"""
        self.budget: Callable[[], Budget] = lambda: context.spec.budget
        """by now"""
        self._spec = context.spec
        self._incarnation = context.incarnation
        self._store = store
        self._lease = lease
        self._plan = plan
        self._seconds_left = seconds_left
        self._slots = slots
        self._gpus = context.spec.resources.gpus_per_trial
        self._spent = spent_by_all(plan.ended, gpus=self._gpus)
        self._values: dict[int, float] = {}
        self._ended = 0
        self._stop: SearchStop | None = None
        if self._spec.budget.stop is not None:
            self._stop = read_stop(store, self._spec.name, incarnation=context.incarnation)

    def values(self) -> Mapping[int, float]:
        """Objective of each completed trial, nats, by trial; none in a Pareto sweep."""
        return self._values

    def replay(self, rows: Iterable[TrialRow]) -> None:
        """Take in the trials that earlier drivers have ended."""
        for row in rows:
            self._take_in(row)

    def note(self, row: TrialRow, *, trials: int, waiting: int) -> None:
        """A run has a durable row; decides whether the search is worth going on.

        Args:
            trials: budget of trials.
            waiting: trials that wait at a rung.
        """
        self._take_in(row)
        if not isinstance(row, ConfirmRow):
            self.decide(trials=trials, waiting=waiting)

    def decide(self, *, trials: int, waiting: int) -> None:
        """Stop the search if nothing is left to gain, and record it; arguments as for `note`."""
        rule, stop = self._spec.budget.stop, self._stop
        if rule is None or (stop is not None and stop.holds_for(rule, trials=trials)):
            return
        self._stop = None
        found = forecast_gain(self._values, tried=self._ended + waiting, trials=trials, rule=rule)
        if found is None or not found.left or not found.is_over(rule):
            return
        self._stop = SearchStop(
            gain_nats=rule.gain_nats, confidence=rule.confidence, trials=trials, tried=found.tried, chance=found.chance
        )
        self._lease.check()
        write_stop(self._store, self._spec.name, self._stop, incarnation=self._incarnation)
        logger.info("the search %s", self._stop)

    def sweep_time_is_up(self) -> bool:
        """True if nothing more may be trained, no confirm run either."""
        return (self._seconds_left() <= 0 and not self._plan.continued.must_end) or self._used_limit() is not None

    def search_time_is_up(self) -> bool:
        """True if the rest of the time, or of the hours, is what the confirm runs need, or has been given to them."""
        budget = self.budget()
        if self._plan.ends_search(budget):
            return True
        if self._seconds_left() <= self._plan.forecast_s(slots=self._slots(), minutes=budget.minutes):
            return True
        return self._used_limit(reserved=True) is not None

    def settle_confirm_length(self, in_flight: Collection[str]) -> None:
        """Decide how long the confirm runs are, where that is left to the time that remains.

        Args:
            in_flight: keys of the runs in flight.
        """
        self._plan.settle_length(
            self._seconds_left(),
            slots=self._slots(),
            in_flight=in_flight,
            check_lease=self._lease.check,
            budget=self.budget(),
        )

    def search_is_over(self) -> bool:
        """True if no trial shall begin, or go on after a pause."""
        return self._stop is not None or self.search_time_is_up()

    def _used_limit(self, *, reserved: bool = False) -> str | None:
        budget = self._spec.budget
        if not has_limit(budget):
            return None
        spent = self._spent + spent_by_all((run.costs for run in self.unfinished()), gpus=self._gpus)
        reserve = Spent()
        if reserved:
            # What goes on from a seed has ended as well, but is none of them.
            runs, epochs = self._spec.confirm.runs - self._plan.confirmed, self._spec.confirm_epochs
            finalists = self._plan.finalists
            reserve = confirm_need(finalists, runs=runs, epochs=epochs, budget_epochs=budget.epochs, gpus=self._gpus)
        return used_limit(budget, spent, reserve=reserve)

    def _take_in(self, row: TrialRow) -> None:
        self._spent += spent_by(row, gpus=self._gpus)
        if isinstance(row, ConfirmRow):
            return
        self._ended += 1
        if row.state is State.COMPLETE and row.objective is not None:
            self._values[row.trial] = row.objective
