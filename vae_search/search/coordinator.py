"""Coordinator of a sweep: next trials, pruning, and the one path by which a trial becomes a row. Knows no Ray."""

import logging
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from functools import partial

from vae_search.core.seeds import derived_seed
from vae_search.core.transfer.pipeline import Pipeline
from vae_search.core.trial_state import Reason, State
from vae_search.errors import StoreUnavailable
from vae_search.search.confirmation import ConfirmationPlan
from vae_search.search.failure_limit import FailureShare
from vae_search.search.messages import TrialAssignment, TrialReport
from vae_search.search.pending_trials import PendingTrials
from vae_search.search.progress import Progress
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.running_trial import RunningTrial, SweepContext, TrialEnd, end_of
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.search.trial_rows import RowWriter, check_own, epoch_rows, recorded_bounds, trial_result
from vae_search.search.weight_retention import WeightRetention
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.leases.lease import Lease
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.failure_counts import record_failure
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

logger = logging.getLogger(__name__)

COMPACT_EVERY = 500  # rows


class SweepCoordinator:
    """The decisions and the commit path of one sweep; its caller runs the trials.

    For each: `next_assignment`, `started`, `record` after each epoch, and `commit_trial` once that returns an end.
    All calls come from one thread, except `progress`.

    Args:
        seconds_left: of the time budget; infinite if there is none.
        slots: how many trials run at once, for the forecast of what the confirm runs will take.
        writers: commits written at once by `begin_commit`, for a store whose answers take long; 0: one after the other.
        on_training: told whether any trial runs now, whenever that may have changed.
    """

    def __init__(
        self,
        context: SweepContext,
        *,
        store: Store,
        lease: Lease,
        now: Callable[[], datetime],
        seconds_left: Callable[[], float],
        slots: Callable[[], int],
        on_trial_finished: Callable[[TrialRow, TrialEnd], None],
        writers: int = 0,
        on_training: Callable[[bool], None] = lambda training: None,
    ) -> None:
        spec = context.spec
        self._spec = spec
        self._store = store
        self._lease = lease
        self._now = now
        self._seconds_left = seconds_left
        self._slots = slots
        self._on_trial_finished = on_trial_finished
        self._pipeline = Pipeline(writers)
        self._on_training = on_training
        self._ledger = Ledger(store, spec.name)
        self._pending = PendingTrials(store, spec.name)
        self._rungs = SuccessiveHalving(spec)
        self._study = SweepStudy.of(spec, rungs=self._rungs.epochs)
        self._confirmation = ConfirmationPlan(spec, store)
        self._running: dict[str, RunningTrial] = {}  # by key
        self._waiting: list[TrialAssignment] = []  # in flight when the last driver died
        self._states: Counter[State] = Counter()
        self._retention = WeightRetention(spec, store)
        self._writer = RowWriter(
            context, lease=lease, now=now, ledger=self._ledger, plan=self._confirmation, retention=self._retention
        )
        self._unissued: deque[int] = deque()  # numbers of the budget, the least first
        self._epochs_done = 0
        self._failures = FailureShare(slots)
        self._rebuild(context)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which this sweep's trials are compared."""
        return self._rungs.epochs

    @property
    def exhausted(self) -> bool:
        """Nothing more will be issued, whatever becomes of what is in flight."""
        if self._trials_to_come():
            return False
        if self._spec.confirm.finalists == 0 or self._seconds_left() <= 0:
            return True
        # Each run that ends may bring others: the last trial the finalists, a finalist's first seed its other ones.
        return not self._running and self._confirmation.next_assignment(self._running) is None

    @property
    def in_flight(self) -> int:
        return len(self._running)

    @property
    def claimed_slots(self) -> int:
        """Runs in flight without those that are only being committed, as many as can be at once."""
        ended = sum(running.end is not None for running in list(self._running.values()))
        return len(self._running) - min(ended, self._pipeline.width)

    @property
    def training(self) -> int:
        """Runs in flight that a worker has; the others wait for one."""
        return sum(running.has_worker for running in list(self._running.values()))

    @property
    def to_come(self) -> int:
        """Trials that the search has not issued yet, as far as can be told."""
        return len(self._waiting) + len(self._unissued) if self._trials_to_come() else 0

    @property
    def unsaved(self) -> bool:
        """True if stopping now would lose an epoch that has been reported, or a trial that is in its first."""
        return any(not running.saved for running in self._running.values() if running.started_at is not None)

    def next_assignment(self) -> TrialAssignment | None:
        """The next assignment, durable before it is handed out; None if there is nothing now.

        Raises:
            StoreUnavailable, LeaseLost: Nothing was issued.
        """
        assignment = None
        if self._waiting:
            assignment = self._waiting.pop(0)
        elif self._trials_to_come():
            assignment = self._suggest()
        elif self._search_is_over() and self._seconds_left() > 0:
            assignment = self._confirmation.next_assignment(self._running)
        if assignment is None:
            return None
        is_new = self._pipeline.beside(self._lease.check, partial(self._pending.record, assignment))
        if not is_new:
            self._pending.insist(assignment)
        self._running[assignment.key] = RunningTrial(assignment=assignment, attempts=0 if is_new else 1)
        return assignment

    def started(self, key: str) -> None:
        """A worker begins with a run, for the first time or again after it was lost."""
        running = self._running[key]
        running.attempts += 1
        running.started_at = running.started_at or self._now()
        running.has_worker = True
        self._on_training(True)

    def waits_again(self, key: str) -> None:
        """A run has lost its worker, and waits for another."""
        self._running[key].has_worker = False
        self._on_training(self.training > 0)

    def record(self, report: TrialReport) -> TrialEnd | None:
        """Take in a worker's report; an end means that the trial is over and must be committed. Idempotent."""
        running = self._running[report.key]
        for measurement in report.measurements:
            self._epochs_done += measurement.epoch not in running.measurements
            running.measurements[measurement.epoch] = measurement
            if not running.assignment.confirms:
                flops = report.costs.train_flops / report.epoch if report.costs else None
                self._rungs.note(measurement.epoch, running.assignment.trial, measurement.neg_bound, epoch_flops=flops)
                self._study.note(running.assignment.trial, measurement.epoch, measurement.neg_bound)
        running.node_id, running.saved = report.node_id, report.saved_epoch == report.epoch
        running.scores, running.costs, running.failure = report.scores, report.costs, report.failure
        running.end = end_of(report, running, spec=self._spec, rungs=self._rungs, time_is_up=self._search_time_is_up)
        return running.end

    def note_lost_worker(self, key: str, *, reason: Reason, detail: str) -> None:
        """A worker was lost for a reason that may be its neighbours' fault; the second time it ends the trial."""
        if self._running[key].started_at is None:  # lost before the run began: that says nothing about it
            return
        self._lease.check()
        record_failure(self._store, self._spec.name, key, reason, detail=detail)

    def commit_trial(self, key: str) -> TrialRow:
        """The one commit path: artifact, epoch rows, trial row, then Optuna, then the running folder.

        Raises:
            StoreUnavailable: Nothing is lost; the run stays in flight.
            LeaseLost: The same; or the driver that took over has written the row, and shows it.
            SweepFailed: The row is written, but too large a share of the trials has failed.
        """
        return self._land(key, self._writer.call_for(self._running[key])())

    def begin_commit(self, key: str) -> None:
        """Commit a trial as `commit_trial` does; where the store is far, `settle` does what follows its row."""
        self._pipeline.begin(self._writer.call_for(self._running[key]), partial(self._land, key))
        if key in self._running:  # it is written aside, and its worker is free
            self.waits_again(key)

    def settle(self, *, wait: bool = False) -> None:
        """Tell Optuna, and show, the trials whose rows are durable by now, or all; errors as for `commit_trial`."""
        self._pipeline.settle(wait=wait)

    def close(self) -> None:
        """Wait until nothing is written any more."""
        self._pipeline.close()

    def compact(self) -> None:
        """Bring the derived copies up to date; trouble with that must not end a sweep, a lost lease does."""
        try:
            self._lease.check()
            self._ledger.compact()
        except StoreUnavailable as error:
            logger.warning("the rows were not compacted: %s", error)

    def progress(self) -> Progress:
        """A consistent enough picture from any thread."""
        best = self._retention.best
        return Progress(
            trials=self._spec.budget.trials,
            states=dict(self._states),
            best_trial=best[1] if best else None,
            best_objective=best[0] if best else None,
            front=self._retention.front,
            epochs_done=self._epochs_done,
            running={key: len(running.measurements) for key, running in list(self._running.items())},
            confirmed=len(self._confirmation.ended),
            confirm_runs=self._spec.confirm.runs,
        )

    def _rebuild(self, context: SweepContext) -> None:
        """Bring study, rungs and budget to where the ledger and the running folders stand; refuse another sweep's."""
        trials, finished_trials = self._spec.budget.trials, self._ledger.read()
        check_own(finished_trials, self._confirmation.stored, context)
        rows = finished_trials.rows
        lost = {store_paths.trial_of(path) for path in finished_trials.damaged} | {*finished_trials.set_aside}
        curves = self._ledger.curves(rows)
        if left_out := [*finished_trials.damaged, *curves.damaged]:
            logger.warning("damaged files are left out: %s", left_out)
        for row in rows:
            curve = curves.by_trial.get(row.trial, [])
            self._study.add(trial_result(row, recorded_bounds(curve), self._spec))
            self._rungs.replay(row, curve)
            self._count(row)
        self._failures.replay(rows)
        finished = {row.trial for row in rows} | lost
        over = {store_paths.trial_key(trial) for trial in finished} | {row.key for row in self._confirmation.ended}
        for assignment in self._pending.unfinished(self._spec.search_space, over=over, lease=self._lease.number):
            number, params = assignment.trial, assignment.params
            self._study.add(TrialResult(trial=number, state=State.RUNNING, params=params, objective=None))
            if number < trials:  # a budget that was lowered leaves the others for a later, larger one
                self._waiting.append(assignment)
        self._unissued = deque(sorted({*range(trials)} - finished - {waiting.trial for waiting in self._waiting}))

    def _trials_to_come(self) -> bool:
        """True if the search will issue further trials."""
        return bool(self._waiting or (self._unissued and not self._search_time_is_up()))

    def _search_time_is_up(self) -> bool:
        """True if the rest of the time is what the confirm runs need."""
        return self._seconds_left() <= self._confirmation.forecast_s(slots=self._slots())

    def _search_is_over(self) -> bool:
        return not self._trials_to_come() and all(running.assignment.confirms for running in self._running.values())

    def _suggest(self) -> TrialAssignment:
        trial = self._unissued[0]
        enqueue = self._spec.enqueue
        params = self._study.ask(trial, enqueue[trial] if trial < len(enqueue) else None)
        self._unissued.popleft()
        return TrialAssignment(trial=trial, params=params, seed=derived_seed(self._spec.seed, trial, "training"))

    def _land(self, key: str, row: TrialRow) -> TrialRow:
        """Tell all who decide by a durable row or show it; then the running folder goes."""
        running = self._running[key]
        if isinstance(row, ConfirmRow):
            self._confirmation.note_run(row)
        else:
            self._study.tell(trial_result(row, running.neg_bounds, self._spec))
            self._rungs.replay(row, epoch_rows(running, row.sweep))
            self._count(row)
            self._pipeline.begin(partial(self._retention.drop, self._retention.behind()))
        del self._running[key]
        self._on_training(self.training > 0)
        self._pipeline.begin(partial(self._pending.forget, key, lease=self._lease.number))
        if running.end is not None:
            logger.info("run %s %s: %s", key, row.state, running.end.explanation)
            if row.lease == self._lease.number:  # else whoever wrote it shows it: a run is shown as finished once
                self._on_trial_finished(row, running.end)
        if not running.assignment.confirms:
            if self._states.total() % COMPACT_EVERY == 0:
                self.compact()
            self._failures.note(row)
        return row

    def _count(self, row: TrialRow) -> None:
        self._states[row.state] += 1
        self._retention.count(row)
        self._confirmation.note(row)
