"""A sweep in one process and without Ray, one trial at a time, on the coordinator and the trial runner of all sweeps.

For small searches, debugging and tests. TensorFlow is imported when the first trial is near.
"""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.errors import Conflict
from vae_search.search.driver_lifecycle import DriverSession, SweepStart, run_sweep
from vae_search.search.messages import TrialAssignment, TrialReport, WorkerConfig
from vae_search.search.progress import Observer
from vae_search.spec.own_code.code_loading import provided
from vae_search.store.backends.base import Store
from vae_search.store.sweeps.sweep_record import SweepRecord
from vae_search.vae.quiet_import import native_remarks_hidden

if TYPE_CHECKING:
    from vae_search.search.coordinator import SweepCoordinator
    from vae_search.search.worker.trial_runner import TrialRunner

NODE_ID = "inline"  # in rows, where Ray's id of a node stands otherwise


class Runner(Protocol):
    """Trains one trial after another; `TrialRunner` is the real one."""

    def begin(self, assignment: TrialAssignment) -> None:
        """Take over a trial, from its last checkpoint if there is one."""

    def step(self) -> TrialReport:
        """Train one epoch."""


def train_trials(
    coordinator: "SweepCoordinator",
    runner: Runner,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    timed_out: threading.Event | None = None,
) -> Iterator[TrialReport]:
    """Train trial after trial until the coordinator has no more; yield each report once it is recorded.

    A caller that stops iterating leaves the sweep as a driver does that dies there: the trial of the last report is
    not committed, and the next driver continues it.

    Args:
        stop_requested: asked after each epoch; once true, no trial is issued, and the present one stops as soon as its
            last epoch is in a checkpoint.
        timed_out: set while a step took longer than a trial may; its attempt does not count, and the next one begins.

    Raises:
        VaeSearchError: What coordinator and runner raise; the sweep can be resumed.
    """
    while not stop_requested() and (assignment := coordinator.next_assignment()) is not None:
        coordinator.started(assignment.key)
        runner.begin(assignment)
        end = None
        while end is None:
            report = runner.step()
            if timed_out is not None and timed_out.is_set():
                timed_out.clear()
                coordinator.started(assignment.key)
                runner.begin(assignment)
                continue
            end = coordinator.record(report)
            yield report
            if end is None and stop_requested() and not coordinator.unsaved:
                return
        coordinator.commit_trial(assignment.key)
        coordinator.settle(wait=True)  # trials that had waited at a rung may have ended with it


def search(start: SweepStart, *, task: TrainingTask, judge_task: JudgeTask, store: Store, observer: Observer) -> None:
    """Train the sweep's trials in this process until its budget is used; the twin of `sweep_runner.search`.

    A step that takes longer than `trial_timeout_s` is judged when it ends: nothing here can interrupt one that hangs.

    Raises:
        Conflict: Another driver owns the sweep, or TensorFlow runs in this process with other limits.
        Interrupted: Somebody asked to stop; everything is resumable, with Ray as well.
        VaeSearchError: What else ended it before its time; see `errors.py`.
    """

    def train(session: DriverSession) -> None:
        observer.on_phase("loading TensorFlow")
        timed_out = threading.Event()
        runner = _runner(start.record, session, task, judge_task, end_attempt=timed_out.set)
        observer.on_phase("training")
        with observer.watching(session.coordinator.progress):
            for _ in train_trials(
                session.coordinator, runner, stop_requested=session.stop_requested, timed_out=timed_out
            ):
                pass

    run_sweep(start, store=store, observer=observer, slots=lambda: 1, train=train)


def _runner(
    record: SweepRecord,
    session: DriverSession,
    task: TrainingTask,
    judge_task: JudgeTask,
    *,
    end_attempt: Callable[[], None],
) -> "TrialRunner":
    """The process's own worker, which saves each epoch from a stop signal on."""
    with native_remarks_hidden():
        from vae_search.search.worker.trial_runner import TrialRunner

    config = WorkerConfig(
        spec=record.spec,
        store=session.store.location,
        lease=session.lease,
        rungs=session.coordinator.rungs,
        log_folder=None,  # its log is the driver's
        code=provided(record.versions),
    )
    try:
        return TrialRunner(
            config,
            task,
            judge_task,
            session.store,
            node_id=NODE_ID,
            leaves_soon=session.signalled.is_set,
            end_process=end_attempt,
        )
    except RuntimeError as error:
        raise Conflict(
            f"sweep {record.spec.name}: TensorFlow already runs in this process with other limits ({error}).\n"
            "Its threads and GPUs are fixed by the first use: start the sweep in a fresh process."
        ) from error
