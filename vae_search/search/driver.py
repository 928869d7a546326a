"""One driver's sweep: what to try next, who is cut, and the one path by which a trial becomes a row. Knows no Ray."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from vae_search.errors import CorruptStore, StoreUnavailable, SweepFailed
from vae_search.search.flight import Flight, Provenance, Verdict, epoch_rows, objective_of, trial_row
from vae_search.search.observer import Progress
from vae_search.search.orders import MODEL_FILE, WEIGHTS_FILE, TrialOrder, TrialReport
from vae_search.search.rungs import decide, rung_epochs
from vae_search.search.study import Outcome, SweepStudy, derived_seed
from vae_search.search.suggestions import Suggestions
from vae_search.states import Reason, State
from vae_search.store import artifacts, checkpoints, layout
from vae_search.store.commit import Store
from vae_search.store.lease import Lease
from vae_search.store.ledger import Ledger
from vae_search.store.rows import EpochRow, TrialRow
from vae_search.store.strikes import record_strike

logger = logging.getLogger(__name__)

SAME_FAILURES_IN_A_ROW = 5
COMPACT_EVERY = 500  # rows


class Driver:
    """Decides and records; whoever runs the trials asks `next_order`, hands in `record` and then calls `land`.

    All calls come from one thread, except `progress`.
    """

    def __init__(
        self,
        provenance: Provenance,
        *,
        store: Store,
        lease: Lease,
        now: Callable[[], datetime],
        deadline_passed: Callable[[], bool],
        on_landed: Callable[[TrialRow, Verdict], None],
    ) -> None:
        spec = provenance.spec
        self._provenance = provenance
        self._spec = spec
        self._store = store
        self._lease = lease
        self._now = now
        self._deadline_passed = deadline_passed
        self._on_landed = on_landed
        self._ledger = Ledger(store, spec.name)
        self._suggestions = Suggestions(store, spec.name)
        self._study = SweepStudy(spec.search_space, sampler=spec.sampler, seed=spec.seed)
        self._flights: dict[int, Flight] = {}
        self._waiting: list[TrialOrder] = []  # in flight when the last driver died
        self._rung_values: dict[int, dict[int, float]] = {rung: {} for rung in self.rungs}
        self._states: Counter[State] = Counter()
        self._kept: list[tuple[float, int]] = []  # (objective, trial) of COMPLETE trials, the best first
        self._unissued: deque[int] = deque()  # numbers of the budget, the least first
        self._epochs_done = 0
        self._failures_in_a_row: list[str] = []
        self._rebuild()

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which this sweep's trials are compared."""
        return rung_epochs(self._spec.pruning, budget_epochs=self._spec.budget.epochs)

    @property
    def exhausted(self) -> bool:
        """No further trial will be issued."""
        return not self._waiting and (not self._unissued or self._deadline_passed())

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    @property
    def unsaved(self) -> bool:
        """Whether stopping now would lose an epoch that has been reported, or a trial that is in its first."""
        return any(not flight.saved for flight in self._flights.values() if flight.started_at is not None)

    def next_order(self) -> TrialOrder | None:
        """The next trial to train, durable before it is handed out; None if there is none.

        Raises:
            StoreUnavailable, LeaseLost: Nothing was issued.
        """
        if self._waiting:
            order, earlier_attempts = self._waiting.pop(0), 1
        elif self.exhausted:
            return None
        else:
            order, earlier_attempts = self._suggest(), 0
        self._lease.check()
        self._suggestions.record(order)
        self._flights[order.trial] = Flight(order=order, attempts=earlier_attempts)
        return order

    def started(self, trial: int) -> None:
        """A worker begins with `trial`, for the first time or again after it was lost."""
        flight = self._flights[trial]
        flight.attempts += 1
        if flight.started_at is None:
            flight.started_at = self._now()

    def record(self, report: TrialReport) -> Verdict | None:
        """Take in a worker's report; a verdict means that the trial ends here and must `land`. Idempotent."""
        flight = self._flights[report.trial]
        for measurement in report.measurements:
            self._epochs_done += measurement.epoch not in flight.measurements
            flight.measurements[measurement.epoch] = measurement
            if measurement.epoch in self._rung_values:
                self._rung_values[measurement.epoch][report.trial] = measurement.neg_elbo
        flight.node_id = report.node_id
        flight.saved = report.saved_epoch == report.epoch
        flight.scores, flight.costs, flight.failure = report.scores, report.costs, report.failure
        flight.verdict = self._verdict(flight, report)
        return flight.verdict

    def forgive(self, trial: int, *, reason: Reason, detail: str) -> None:
        """A worker was lost for a reason that may be its neighbours' fault; the second time it ends the trial.

        One that was lost before the trial began says nothing about it.
        """
        if self._flights[trial].started_at is None:
            return
        self._lease.check()
        record_strike(self._store, self._spec.name, layout.trial_key(trial), reason, detail=detail)

    def land(self, trial: int) -> TrialRow:
        """The one commit path: artifact, epoch rows, trial row, then Optuna, then the running folder.

        Raises:
            StoreUnavailable: Nothing is lost; the trial stays in flight.
            LeaseLost: The same; or the driver that took over has written the row, and shows it.
            SweepFailed: The row is written, but the same failure came too often in a row.
        """
        flight = self._flights[trial]
        verdict = flight.verdict
        if verdict is None:
            raise ValueError(f"trial {trial} has no verdict; only a trial that has ended can land")
        self._lease.check()
        artifact_sha256 = self._keep_artifact(flight) if verdict.state is State.COMPLETE else None
        self._lease.check()  # again: writing an artifact takes long enough to be stopped in the middle
        row = self._ledger.commit(
            trial_row(flight, verdict, self._provenance, finished_at=self._now(), artifact_sha256=artifact_sha256),
            epoch_rows(flight, self._spec.name),
        )
        ours = row.lease == self._lease.number
        if not ours:  # this process was stopped since the check, and another has written the row meanwhile
            self._lease.check()
        self._study.tell(_outcome(row, flight.neg_elbos))
        del self._flights[trial]
        self._count(row)
        self._suggestions.forget(trial)
        self._drop_artifacts()
        logger.info("trial %d %s: %s", trial, row.state, verdict.explanation)
        if ours:  # else whoever wrote it shows it: a trial is shown as finished once
            self._on_landed(row, verdict)
        if self._states.total() % COMPACT_EVERY == 0:
            self.compact()
        self._stop_if_hopeless(row)
        return row

    def compact(self) -> None:
        """Bring the derived copies up to date; that they cannot be written must not end a sweep."""
        try:
            self._ledger.compact()
        except StoreUnavailable as error:
            logger.warning("the rows were not compacted: %s", error)

    def progress(self) -> Progress:
        """A consistent enough picture from any thread."""
        best = self._kept[0] if self._kept else None
        return Progress(
            trials=self._spec.budget.trials,
            states=dict(self._states),
            best_trial=best[1] if best else None,
            best_objective=best[0] if best else None,
            epochs_done=self._epochs_done,
            running={trial: len(flight.measurements) for trial, flight in list(self._flights.items())},
        )

    def _rebuild(self) -> None:
        """Bring study, rungs and budget to where the ledger and the running folders stand; a new sweep has neither."""
        rows = self._ledger.trials()
        damaged = {layout.trial_of(path) for path in self._ledger.damaged} | {*self._ledger.set_aside}
        curves = self._ledger.curves(rows)
        if self._ledger.damaged:
            logger.warning("damaged files are left out: %s", self._ledger.damaged)
        for row in rows:
            curve = curves.get(row.trial, [])
            self._study.add(_outcome(row, {epoch.epoch: epoch.neg_elbo or 0.0 for epoch in curve}))
            self._replay_rungs(row.trial, curve)
            self._count(row)
        finished = {row.trial for row in rows} | damaged
        for order in self._suggestions.all():
            if order.trial in finished:
                self._suggestions.forget(order.trial)  # the last driver died between the row and this step
                continue
            problems = self._spec.search_space.problems(order.params)
            if problems:
                raise CorruptStore(
                    f"{layout.suggestion(self._spec.name, layout.trial_key(order.trial))}: does not fit the search "
                    f"space: {problems[0]}\nRestore it from a copy, or remove its folder: the trial is suggested anew."
                )
            self._study.add(Outcome(trial=order.trial, state=State.RUNNING, params=order.params, objective=None))
            self._waiting.append(order)
        # A budget that was lowered leaves trials in flight beyond it for a later, larger one.
        trials = self._spec.budget.trials
        self._waiting = [order for order in self._waiting if order.trial < trials]
        issued = finished | {order.trial for order in self._waiting}
        self._unissued = deque(number for number in range(trials) if number not in issued)

    def _replay_rungs(self, trial: int, curve: Sequence[EpochRow]) -> None:
        for epoch in curve:
            if epoch.epoch in self._rung_values and epoch.neg_elbo is not None:
                self._rung_values[epoch.epoch][trial] = epoch.neg_elbo

    def _suggest(self) -> TrialOrder:
        trial = self._unissued[0]
        enqueue = self._spec.enqueue
        params = self._study.ask(trial, enqueue[trial] if trial < len(enqueue) else None)
        self._unissued.popleft()
        return TrialOrder(trial=trial, params=params, seed=derived_seed(self._spec.seed, trial, "training"))

    def _verdict(self, flight: Flight, report: TrialReport) -> Verdict | None:
        """What the report means for the trial: a pure function of it, of the rungs and of the clock."""
        if report.failure is not None:
            summary = report.failure.error.splitlines()[0]
            return Verdict(state=State.FAIL, reason=report.failure.reason, explanation=summary)
        if report.epoch >= self._spec.budget.epochs:
            return Verdict(state=State.COMPLETE, reason=None, explanation=f"all {report.epoch} epochs done")
        if self._spec.pruning is not None and report.epoch in self._rung_values:
            values = self._rung_values[report.epoch]
            decision = decide(
                values[report.trial], list(values.values()), reduction_factor=self._spec.pruning.reduction_factor
            )
            if not decision.advance:
                explanation = f"cut at epoch {report.epoch}: {decision.reason}"
                return Verdict(state=State.PRUNED, reason=Reason.RUNG, explanation=explanation)
        if self._deadline_passed() and flight.measurements:
            minutes = self._spec.budget.minutes
            explanation = f"cut at epoch {report.epoch}: the budget of {minutes:g} minutes is used"
            return Verdict(state=State.PRUNED, reason=Reason.TIME, explanation=explanation)
        return None

    def _count(self, row: TrialRow) -> None:
        self._states[row.state] += 1
        if row.state is State.COMPLETE and row.objective is not None:
            self._kept = sorted([*self._kept, (row.objective, row.trial)])

    def _keep_artifact(self, flight: Flight) -> str | None:
        """Write the artifact of a COMPLETE trial that is among the best `keep` so far; its manifest's hash."""
        if flight.scores is None:
            return None
        objective = objective_of(flight.scores, stability_weight=self._spec.objective.stability_weight)
        better = sum(kept < (objective, flight.order.trial) for kept in self._kept)
        checkpoint = checkpoints.newest_intact(self._store, self._spec.name, layout.trial_key(flight.order.trial))
        if better >= self._spec.keep or checkpoint is None or checkpoint.epoch != self._spec.budget.epochs:
            return None
        kept = {name: checkpoint.files[name] for name in (WEIGHTS_FILE, MODEL_FILE)}
        return artifacts.keep(self._store, self._spec.name, flight.order.trial, kept)

    def _drop_artifacts(self) -> None:
        """Remove the artifact that has fallen behind the best `keep`."""
        for _, trial in self._kept[self._spec.keep :]:
            artifacts.drop(self._store, self._spec.name, trial)
        del self._kept[self._spec.keep :]

    def _stop_if_hopeless(self, row: TrialRow) -> None:
        if row.state is not State.FAIL:
            self._failures_in_a_row = []
            return
        cause = f"{row.reason}: {(row.error or '').splitlines()[0]}"
        if self._failures_in_a_row and self._failures_in_a_row[-1] != cause:
            self._failures_in_a_row = []
        self._failures_in_a_row.append(cause)
        if len(self._failures_in_a_row) >= SAME_FAILURES_IN_A_ROW:
            raise SweepFailed(
                f"sweep {self._spec.name}: {SAME_FAILURES_IN_A_ROW} trials in a row failed alike, the last was trial "
                f"{row.trial}.\n{cause}\nSee the whole error with `vae-search best {self._spec.name} --all --json`."
            )


def _outcome(row: TrialRow, neg_elbos: Mapping[int, float]) -> Outcome:
    return Outcome(trial=row.trial, state=row.state, params=row.params, objective=row.objective, neg_elbos=neg_elbos)
