"""Confirm runs of one sweep: what is to be trained next, from the moment on at which its search is over."""

from collections.abc import Callable, Collection, Sequence

from vae_search.core.seeds import derived_seed
from vae_search.core.trial_state import State
from vae_search.errors import Conflict
from vae_search.search.messages import TrialAssignment
from vae_search.search.planning.confirm_length import ConfirmLength
from vae_search.search.planning.continued_run import ContinuedRun
from vae_search.search.planning.finalists import ConfirmRun, finalists_of, wanted_runs
from vae_search.search.planning.turns import Turns
from vae_search.search.running_trial import RunningTrial, RunsInFlight, SweepContext, TrialPause
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.sections import Budget
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.ledger.confirm_runs import SELECTING_SEED, ConfirmRow, ConfirmRuns
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.ranking import best_first


class ConfirmationPlan:
    """The confirm runs of one sweep, from the moment on at which its search is over.

    Args:
        length: of the runs, where a plan decides it.
        continued: the run that goes on from one of them, likewise.
    """

    def __init__(
        self,
        spec: SweepSpec,
        store: Store,
        *,
        length: ConfirmLength | None = None,
        continued: ContinuedRun | None = None,
    ) -> None:
        self._spec = spec
        self._length = length or ConfirmLength(spec, store, plan=None, incarnation=None)
        self.continued = continued or ContinuedRun(spec, store, incarnation=None, judge_epochs=0.0)
        self._ledger = ConfirmRuns(store, spec.name)
        self.stored = self._ledger.read()
        """rows that were there when the driver began"""
        self.turns = Turns()
        """runs that have given way"""
        self._ended = [*self.stored.rows]
        self.continued.rows = [*self.stored.continued]
        self._candidates: list[TrialRow] = []
        self._finalists: list[TrialRow] = []
        _check_epochs(spec, self._ended, epochs=self._length.epochs)

    @classmethod
    def of(cls, context: SweepContext, store: Store) -> "ConfirmationPlan":
        """The confirm runs of a driver's sweep."""
        plan, incarnation = context.plan, context.incarnation
        length = ConfirmLength(context.spec, store, plan=plan, incarnation=incarnation)
        judge_epochs = plan.speed.judge_epochs if plan else 0.0
        continued = ContinuedRun(
            context.spec,
            store,
            incarnation=incarnation,
            judge_epochs=judge_epochs,
            shares_machine=context.shares_machine,
        )
        return cls(context.spec, store, length=length, continued=continued)

    @property
    def ended(self) -> Sequence[ConfirmRow]:
        """The runs that have a row: those of fresh seeds, and the one that went on."""
        return (*self._ended, *self.continued.rows)

    @property
    def confirmed(self) -> int:
        """Number of fresh seeds whose runs have ended."""
        return len(self._ended)

    @property
    def finalists(self) -> Sequence[TrialRow]:
        """The best trials of the search so far, as many as will be confirmed."""
        return tuple(self._finalists)

    def note(self, row: TrialRow) -> None:
        """A trial has finished; it may be a finalist."""
        criteria = pareto_criteria(self._spec)
        self._candidates = best_first([*self._candidates, row], criteria)
        self._finalists = finalists_of(self._candidates, self._spec.confirm.finalists, criteria)
        if criteria is None:  # of a front all members are needed, to know who is on it
            self._candidates = self._finalists

    def settle_length(
        self,
        left_s: float,
        *,
        slots: int,
        in_flight: Collection[str],
        check_lease: Callable[[], None],
        budget: Budget,
    ) -> None:
        """Decide how long the runs are, and which goes on, where it is still open; see `ConfirmLength.decide`.

        Args:
            in_flight: keys of the runs in flight.
            budget: by now.
        """
        threads = self.continued.threads_of(slots)
        self._length.decide(
            self._finalists, left_s=left_s, slots=slots, threads=threads, check_lease=check_lease, budget=budget
        )
        if not in_flight and not self._wanted():
            self.continued.settle(self._ended, self._length, turns=self.turns, left_s=left_s, check_lease=check_lease)

    def ends_search(self, budget: Budget) -> bool:
        """True if no trial may begin any more: the length of the runs is decided, and there is one to confirm.

        A budget that is raised meanwhile waits for the runs whose length the time has been divided for.

        Args:
            budget: by now.
        """
        if not self._finalists or self._length.epochs is None:
            return False
        if self._length.ends_search(trials=budget.trials, minutes=budget.minutes):
            return True
        goes_on = self._length.branch_epoch is not None
        return goes_on and (bool(self._wanted()) or self.continued.is_to_come(self._ended))

    def end(self, *, check_lease: Callable[[], None]) -> None:
        """Leave the store in order where nothing more will be issued.

        While a seed is missing, the states to go on from stay: more minutes bring it, and what goes on.
        """
        if not self._wanted():
            self.continued.end(self._length, check_lease=check_lease)

    def next_assignment(self, in_flight: Collection[str]) -> TrialAssignment | None:
        """The next confirm run; None if there is none, or none before one in flight has ended.

        Args:
            in_flight: keys of the runs in flight.
        """
        wanted = self._wanted()
        if not wanted:
            return None if in_flight else self.continued.next_assignment(self._ended, self._length, self.turns)
        ready = {run.key: self._assignment(run) for run in wanted if run.key not in in_flight}
        return next(iter(self.turns.in_order(ready)), None)

    def pause_of(self, running: RunningTrial, epoch: int, *, in_flight: RunsInFlight) -> TrialPause | None:
        """The pause of a confirm run that gives way to another at this epoch; None if it goes on."""
        if running.assignment.continues_epoch is not None:
            return self.continued.pause_of(running, epoch)
        wanted = [run.key for run in self._wanted()] if running.assignment.turn_epoch == epoch else []
        return self.turns.pause_of(running, epoch, wanted=wanted, in_flight=in_flight)

    def _wanted(self) -> list[ConfirmRun]:
        trials = [row.trial for row in self._finalists]
        return wanted_runs(trials, self._ended, seeds=self._spec.confirm.seeds)

    def _assignment(self, run: ConfirmRun) -> TrialAssignment:
        (row,) = (row for row in self._finalists if row.trial == run.trial)
        return TrialAssignment(
            trial=run.trial,
            confirm_seed=run.confirm_seed,
            params=self._length.params_of(row.params),
            seed=derived_seed(self._spec.seed, run.trial, f"confirm seed {run.confirm_seed}"),
            epochs=self._length.epochs,
            turn_epoch=self._length.turn_epochs.get(run.confirm_seed),
            branch_epoch=self._length.branch_epoch if run.confirm_seed != SELECTING_SEED else None,
        )

    def write(self, row: TrialRow, *, confirm_seed: int) -> ConfirmRow:
        """Write the row of a confirm run. May be called from any thread.

        Raises:
            StoreUnavailable: It is not written; the same call may be made again.
        """
        about = self.continued.columns if confirm_seed < SELECTING_SEED else {}
        return self._ledger.commit(ConfirmRow.of(row, confirm_seed=confirm_seed, **about))

    def note_run(self, row: ConfirmRow) -> None:
        """A confirm run has a row."""
        (self.continued.rows if row.continues else self._ended).append(row)

    def forecast_s(self, *, slots: int, minutes: float | None = None) -> float:
        """Seconds that the runs will take, by the finalists' own trainings; 0 as long as there are none.

        A config that patience has completed is taken to be so again. Runs whose length a plan decides take what it
        keeps for them.

        Args:
            slots: runs at once.
            minutes: of the budget by now.
        """
        is_open = self._length.is_open
        if is_open and self._finalists and (reserved_s := self._length.reserved_s(minutes)) is not None:
            return reserved_s
        runs_s = [
            row.wall_s / row.epochs * (limit if row.epochs >= self._spec.budget.epochs else min(row.epochs, limit))
            for limit in [self._length.epochs or self._spec.confirm_epochs]
            for row in self._finalists
            if row.wall_s
        ]
        if not runs_s:
            return 0.0
        confirm = self._spec.confirm
        if self._length.epochs is not None:  # of a plan: only what is left of them takes time yet
            return -(-max(0, confirm.runs - len(self._ended)) // slots) * max(runs_s)
        choosing = confirm.runs - confirm.seeds
        return (-(-choosing // slots) + -(-confirm.seeds // slots)) * max(runs_s)


def _check_epochs(spec: SweepSpec, ended: Sequence[ConfirmRow], *, epochs: int | None) -> None:
    """Seeds of one config are compared with each other, so all must have been trained for equally long.

    Or until patience was over, which it would have been at the same epoch below another limit.

    Args:
        epochs: that a plan has decided on.

    Raises:
        Conflict: confirm.epochs is another one than before.
    """
    for row in ended:
        rule = spec.stopping_rule(row.params, confirms=True, epochs=epochs)
        by_patience = row.epochs < rule.epochs and rule.is_patience_over(
            row.epochs, best_epoch=row.best_epoch or row.epochs
        )
        if row.state is State.COMPLETE and row.epochs != rule.epochs and not by_patience:
            raise Conflict(
                f"sweep {spec.name}: confirm.epochs is {rule.epochs}, but confirm run {row.key} was trained "
                f"for {row.epochs} epochs already.\nChange it back, or give the spec another name."
            )
