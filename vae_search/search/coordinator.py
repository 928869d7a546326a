"""Coordinator of a sweep: next trials, pruning, and the one path by which a trial becomes a row. Knows no Ray."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from vae_search.core.transfer.pipeline import Pipeline
from vae_search.core.trial_state import Reason
from vae_search.search.confirmation import ConfirmationPlan
from vae_search.search.control.live_control import LiveControl, without_commands
from vae_search.search.limits.search_limits import SearchLimits
from vae_search.search.messages import TrialAssignment, TrialReport
from vae_search.search.pending_trials import PendingTrials
from vae_search.search.progress import Progress
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.rungs.first_configs import FirstConfigs
from vae_search.search.rungs.trial_queue import TrialQueue
from vae_search.search.running_trial import RunningTrial, RunsInFlight, SweepContext, TrialEnd, TrialPause, end_of
from vae_search.search.study.borrowed import borrowed_results
from vae_search.search.study.search_results import SearchResults
from vae_search.search.study.study import SweepStudy
from vae_search.search.trial_rows import RowWriter, read_finished
from vae_search.search.weight_retention import WeightRetention
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.control.enqueued_trials import EnqueuedTrials
from vae_search.store.leases.lease import Lease
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.ledger.failure_counts import record_failure
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

logger = logging.getLogger(__name__)


class SweepCoordinator:
    """The decisions and the commit path of one sweep; its caller runs the trials.

    For each: `next_assignment`, `started`, `record` after each epoch, and `commit_trial` once that returns an end or a
    pause, after which the trial may be handed out again. All calls come from one thread, except `progress`.

    Args:
        seconds_left: of the time budget; infinite if there is none.
        slots: how many trials run at once, for the forecast of what the confirm runs will take.
        writers: commits written at once by `begin_commit`, for a store whose answers take long; 0: one after the other.
        on_training: told whether any trial runs now, whenever that may have changed.
        control: commands to the sweep; None: there are none.
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
        control: LiveControl | None = None,
    ) -> None:
        spec = context.spec
        self._spec, self._store, self._lease, self._now = spec, store, lease, now
        self._on_trial_finished, self._on_training = on_trial_finished, on_training
        self._control = control or without_commands(spec)
        self._pipeline, self._pending = Pipeline(writers), PendingTrials(store, spec.name)
        self._rungs, self._retention = SuccessiveHalving(spec), WeightRetention(spec, store)
        self._study = SweepStudy.of(spec, rungs=self._rungs.epochs, seed=context.sampler_seed)
        self._confirmation = ConfirmationPlan.of(context, store)
        self._running, self._epochs_done = RunsInFlight(), 0
        self._limits = SearchLimits(
            context, store=store, lease=lease, plan=self._confirmation, seconds_left=seconds_left, slots=slots
        )
        self._limits.budget = lambda: self._control.spec.budget
        self._limits.unfinished = lambda: (*self._running.values(), *self._queue.paused_trials)
        first = FirstConfigs(context, self._rungs, completed=self._limits.values)
        self._queue = TrialQueue(spec, store, self._rungs, time_is_up=self._limits.search_is_over, first=first)
        self._results = SearchResults(
            spec,
            study=self._study,
            rungs=self._rungs,
            confirmation=self._confirmation,
            retention=self._retention,
            slots=slots,
        )
        self._writer = RowWriter(
            context, store=store, lease=lease, now=now, plan=self._confirmation, retention=self._retention
        )
        self._rebuild(context)

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which this sweep's trials are compared."""
        return self._rungs.epochs

    @property
    def exhausted(self) -> bool:
        """Nothing more will be issued, whatever becomes of what is in flight."""
        if not self._queue.is_empty:
            return False
        if self._spec.confirm.finalists == 0 or self._limits.sweep_time_is_up():
            return True
        # Each run that ends may bring others: the last trial the finalists, a finalist's first seed its other ones.
        return not self._running and self._confirmation.next_assignment(self._running) is None

    @property
    def in_flight(self) -> int:
        return len(self._running)

    @property
    def claimed_slots(self) -> int:
        """Runs in flight without those that are only being committed, as many as can be at once."""
        return len(self._running) - min(self._running.ended, self._pipeline.width)

    @property
    def training(self) -> int:
        """Runs in flight that a worker has; the others wait for one."""
        return self._running.with_worker

    @property
    def to_come(self) -> int:
        """Trials that the search has not issued yet or may go on with, as far as can be told."""
        return self._queue.to_come

    @property
    def unsaved(self) -> bool:
        """True if stopping now would lose an epoch that has been reported, or a trial that is in its first."""
        return any(not running.saved for running in self._running.values() if running.started_at is not None)

    def next_assignment(self) -> TrialAssignment | None:
        """The next assignment, durable before it is handed out; None if there is nothing now.

        Raises:
            StoreUnavailable, LeaseLost: Nothing was issued.
        """
        self.heed()
        assignment = self._queue.interrupted() or self._queue.enqueued(self._study.ask, self._control.next_config)
        if assignment is None:
            resumed = self._queue.promoted(others_run=self._running.others_run, check_lease=self._lease.check)
            if resumed is not None:
                self._running[resumed.assignment.key] = resumed
                return resumed.assignment
            self._commit_ended(self._queue.cut(others_run=self._running.others_run))
            assignment = self._queue.new(self._study.ask)
        is_searched = self._queue.is_empty and not self._running.search_runs
        if assignment is None and is_searched and not self._limits.sweep_time_is_up():
            self._limits.settle_confirm_length(self._running)
            assignment = self._confirmation.next_assignment(self._running)
        if assignment is None:
            return None
        self._control.take(assignment.command)
        is_new = self._pipeline.beside(self._lease.check, partial(self._pending.record, assignment))
        if not is_new:
            self._pending.insist(assignment)
        waited = self._confirmation.turns.take(assignment.key)
        self._running[assignment.key] = waited or RunningTrial(assignment=assignment, attempts=int(not is_new))
        return assignment

    def heed(self, *, at_once: bool = False) -> None:
        """Look for commands, and end trials that wait; errors as for `commit_trial`."""
        self._look(at_once=at_once)
        self._commit_ended(self._queue.stop(self._control.stopped_trials))

    def started(self, key: str) -> None:
        """A worker begins with a run, for the first time or again after it was lost."""
        self._running[key].begin(self._now)
        self._on_training(True)

    def waits_again(self, key: str) -> None:
        """A run has lost its worker, and waits for another."""
        self._running[key].has_worker = False
        self._on_training(self.training > 0)

    def record(self, report: TrialReport) -> TrialEnd | TrialPause | None:
        """Take in a worker's report; an end or a pause means that `commit_trial` must follow. Idempotent."""
        self._look()
        running = self._running[report.key]
        self._epochs_done += running.take_in(report)
        self._results.note_report(report, running.assignment)
        spec, stopped = self._control.spec, running.assignment.trial in self._control.stopped_trials
        time_is_up = self._limits.search_time_is_up
        found = end_of(report, running, spec=spec, rungs=self._rungs, time_is_up=time_is_up, stopped=stopped)
        running.decide(found or self._confirmation.pause_of(running, report.epoch, in_flight=self._running))
        return running.end or running.pause

    def note_lost_worker(self, key: str, *, reason: Reason, detail: str) -> None:
        """A worker was lost for a reason that may be its neighbours' fault; the second time it ends the trial."""
        if self._running[key].started_at is None:  # lost before the run began: that says nothing about it
            return
        self._lease.check()
        record_failure(self._store, self._spec.name, key, reason, detail=detail)

    def commit_trial(self, key: str) -> TrialRow | None:
        """The one commit path: artifact, epoch rows, trial row, then Optuna, then the running folder. None for a pause.

        Raises:
            StoreUnavailable: Nothing is lost; the run stays in flight.
            LeaseLost: The same; or the driver that took over has written the row, and shows it.
            SweepFailed: The row is written, but too large a share of the trials has failed.
        """
        if self._pauses(key):
            return None
        return self._land(key, self._writer.call_for(self._running[key])())

    def begin_commit(self, key: str) -> None:
        """Commit a trial as `commit_trial` does; where the store is far, `settle` does what follows its row."""
        if self._pauses(key):
            return
        self._pipeline.begin(self._writer.call_for(self._running[key]), partial(self._land, key))
        if key in self._running:  # it is written aside, and its worker is free
            self.waits_again(key)

    def settle(self, *, wait: bool = False) -> None:
        """Tell Optuna, and show, the trials whose rows are durable by now, or all; errors as for `commit_trial`."""
        self._pipeline.settle(wait=wait)

    def close(self) -> None:
        """Wait until nothing is written any more."""
        self._pipeline.close()

    def finish(self) -> None:
        """Leave the store in order, copies of rows as well; trouble with that ends no sweep, a lost lease does."""
        if self.exhausted and not self._running:
            self._confirmation.end(check_lease=self._lease.check)
        self._writer.compact()

    def progress(self) -> Progress:
        """A consistent enough picture from any thread."""
        return self._results.progress(self._queue, self._running, epochs_done=self._epochs_done)

    def _rebuild(self, context: SweepContext) -> None:
        """Bring study, rungs and budget to where the ledger and the running folders stand; refuse another sweep's."""
        for borrowed in borrowed_results(self._store, context):
            self._study.borrow(borrowed)
        finished = read_finished(Ledger(self._store, context.spec.name), self._confirmation.stored, context)
        self._results.replay(finished.trials)
        self._limits.replay(row for row, _ in finished.trials)
        over = {*map(store_paths.trial_key, finished.numbers)} | {row.key for row in self._confirmation.ended}
        pending = [*self._pending.unfinished(self._spec.search_space, over=over, lease=self._lease.number)]
        self._results.note_in_flight(pending)
        enqueued = EnqueuedTrials(self._store, context.spec.name, incarnation=context.incarnation)
        taken = enqueued.taken(finished.commands, over=finished.numbers)
        for command in (*taken, *(each.command for each in pending)):
            self._control.take(command)
        self._queue.fill(pending, finished=finished.numbers)
        self._look(at_once=True)
        for running in self._queue.paused_trials:
            self._results.note_pause(running)
        self._limits.decide(trials=self._queue.trials, waiting=self._queue.paused)

    def _pauses(self, key: str) -> bool:
        """Let a trial wait at its rung if that is what it has come to, and end those that need not wait any more."""
        running = self._running[key]
        if running.pause is None:
            return False
        self._lease.check()
        if running.assignment.confirms:
            self._confirmation.turns.add(self._running.pop(key))
        else:
            self._queue.pause(running)
            self._results.note_pause(self._running.pop(key))
        self._on_training(self.training > 0)
        self._commit_ended(self._queue.cut(others_run=True))
        return True

    def _look(self, *, at_once: bool = False) -> None:
        if self._control.look(at_once=at_once):
            self._queue.resize(self._control.spec.budget.trials)

    def _commit_ended(self, ended: Mapping[str, RunningTrial]) -> None:
        """Commit paused trials that have ended; the last ones at once, as confirm runs follow."""
        self._running |= ended
        for key in ended:
            self.begin_commit(key)
        if ended and self._queue.is_empty:
            self.settle(wait=True)

    def _land(self, key: str, row: TrialRow) -> TrialRow:
        """Tell all who decide by a durable row or show it; then the running folder goes."""
        running = self._running[key]
        if isinstance(row, ConfirmRow):
            self._confirmation.note_run(row)
        else:
            self._results.note_row(row, running)
            self._pipeline.begin(partial(self._retention.drop, self._retention.behind()))
        del self._running[key]
        self._on_training(self.training > 0)
        self._pipeline.begin(partial(self._pending.forget, key, lease=self._lease.number))
        if running.end is not None:
            logger.info("run %s %s: %s", key, row.state, running.end.explanation)
            if row.lease == self._lease.number:  # else whoever wrote it shows it: a run is shown as finished once
                self._on_trial_finished(row, running.end)
        self._limits.note(row, trials=self._queue.trials, waiting=self._queue.paused)
        if not running.assignment.confirms:
            self._writer.compact_if_due(rows=self._results.states.total())
            self._results.check_failures(row)
        return row
