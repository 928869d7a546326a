"""Results of a search so far, told to all who decide by them: study, rungs, kept weights, finalists, failures."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from vae_search.core.trial_state import State
from vae_search.search.confirmation import ConfirmationPlan
from vae_search.search.failure_limit import FailureShare
from vae_search.search.messages import TrialAssignment, TrialReport
from vae_search.search.progress import Progress
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.rungs.rung_bounds import recorded_bounds
from vae_search.search.rungs.trial_queue import TrialQueue
from vae_search.search.running_trial import RunningTrial, RunsInFlight
from vae_search.search.study.study import SweepStudy
from vae_search.search.study.trial_results import running_result, trial_result
from vae_search.search.trial_rows import epoch_rows
from vae_search.search.weight_retention import WeightRetention
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.rows import EpochRow, TrialRow


class SearchResults:
    """The trials of one search as those know them who decide by results.

    Args:
        slots: trials that run at once now.
    """

    def __init__(
        self,
        spec: SweepSpec,
        *,
        study: SweepStudy,
        rungs: SuccessiveHalving,
        confirmation: ConfirmationPlan,
        retention: WeightRetention,
        slots: Callable[[], int],
    ) -> None:
        self._spec = spec
        self._study = study
        self._rungs = rungs
        self._confirmation = confirmation
        self._retention = retention
        self._failures = FailureShare(slots)
        self.states: Counter[State] = Counter()
        """finished trials"""

    def replay(self, trials: Sequence[tuple[TrialRow, Sequence[EpochRow]]]) -> None:
        """Take in the trials that earlier drivers have ended: row and learning curve of each."""
        for row, curve in trials:
            self._study.add(trial_result(row, recorded_bounds(curve), self._spec))
            self._rungs.replay(row, curve)
            self._count(row)
        self._failures.replay(row for row, _ in trials)

    def note_in_flight(self, assignments: Iterable[TrialAssignment]) -> None:
        """Take in the trials that earlier drivers have left in flight."""
        for assignment in assignments:
            self._study.add(running_result(assignment))

    def note_report(self, report: TrialReport, assignment: TrialAssignment) -> None:
        """A run has come so far; of a confirm run there is nothing to note."""
        self._rungs.note_report(report, assignment)
        if not assignment.confirms:
            self._study.note(assignment.trial, {each.epoch: each.neg_bound for each in report.measurements})

    def note_pause(self, running: RunningTrial) -> None:
        """A trial waits at a rung, which shows that it works."""
        self._study.pause(running.assignment.trial, running.neg_bounds, criteria=running.criteria_so_far(self._spec))
        self._failures.note_pause()

    def note_row(self, row: TrialRow, running: RunningTrial) -> None:
        """A trial has ended, and its row is durable."""
        self._study.tell(trial_result(row, running.neg_bounds, self._spec))
        self._rungs.replay(row, epoch_rows(running, row.sweep))
        self._count(row)

    def check_failures(self, row: TrialRow) -> None:
        """Judge whether the sweep is to go on.

        Raises:
            SweepFailed: Too large a share of its trials has failed.
        """
        self._failures.note(row)

    def progress(self, queue: TrialQueue, running: RunsInFlight, *, epochs_done: int) -> Progress:
        """A consistent enough picture from any thread.

        Args:
            running: all runs in flight, by key.
            epochs_done: by this driver.
        """
        best = self._retention.best
        return Progress(
            trials=queue.trials,
            states=dict(self.states),
            best_trial=best[1] if best else None,
            best_objective=best[0] if best else None,
            front=self._retention.front,
            epochs_done=epochs_done,
            running={key: len(run.measurements) for key, run in list(running.items())},
            confirmed=self._confirmation.confirmed,
            confirm_runs=self._spec.confirm.runs,
            paused=queue.paused,
        )

    def _count(self, row: TrialRow) -> None:
        self.states[row.state] += 1
        self._retention.count(row)
        self._confirmation.note(row)
