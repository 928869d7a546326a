"""What goes wrong inside a worker, and whose fault it is. Faults are put where a real one would be raised."""

import threading

import pytest
import tensorflow as tf

from tests.support.sweeps import small_spec
from vae_search.core.trial_state import Reason
from vae_search.errors import Conflict, NodeTrouble, StoreUnavailable
from vae_search.search.messages import TrialAssignment, WorkerConfig
from vae_search.search.worker.trial_runner import TrialRunner
from vae_search.store import paths as store_paths
from vae_search.store.ledger import checkpoints
from vae_search.store.ledger.failure_counts import failure_counts, record_failure
from vae_search.vae.training.training_run import TrainingRun

pytestmark = pytest.mark.needs_tensorflow


def failing(monkeypatch, *errors: BaseException | None) -> None:
    """Make the next epochs raise these errors in turn (None: train as usual), and the later ones train."""
    waiting = list(errors)
    train_epoch = TrainingRun.train_epoch

    def raises_or_trains(run: TrainingRun):
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error
        return train_epoch(run)

    monkeypatch.setattr(TrainingRun, "train_epoch", raises_or_trains)


@pytest.mark.parametrize("error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")])
def test_running_out_of_memory_once_is_forgiven(open_session, monkeypatch, error):
    session = open_session()
    session.start()
    failing(monkeypatch, error)

    report = session.runner.step()

    assert report.failure is None
    assert report.epoch == 1


def test_running_out_of_memory_twice_is_the_configs_fault(open_session, monkeypatch):
    session = open_session()
    session.start()
    failing(monkeypatch, None, MemoryError("first"), MemoryError("second"))

    session.runner.step()
    report = session.runner.step()

    assert report.failure.reason is Reason.OOM
    assert report.failure.error.startswith("MemoryError: second")


@pytest.mark.parametrize("error", [ValueError("bad shape"), tf.errors.InvalidArgumentError(None, None, "bad shape")])
def test_whatever_a_config_raises_is_its_own_fault_and_told_in_the_first_line(open_session, monkeypatch, error):
    session = open_session()
    session.start()
    failing(monkeypatch, error)

    report = session.runner.step()

    assert report.failure.reason is Reason.RAISED
    assert "bad shape" in report.failure.error.splitlines()[0]


def test_a_store_that_cannot_be_written_is_no_fault_of_the_config(open_session, monkeypatch):
    session = open_session()
    session.start()
    failing(monkeypatch, StoreUnavailable("no space left"))

    with pytest.raises(StoreUnavailable):
        session.runner.step()


def test_running_out_of_memory_is_counted_across_drivers(open_session, monkeypatch):
    first = open_session()
    first.start()
    failing(monkeypatch, MemoryError("first"))
    first.runner.step()
    again = open_session()
    again.start()
    failing(monkeypatch, MemoryError("second"))

    report = again.runner.step()

    assert report.failure.reason is Reason.OOM


def test_a_trial_whose_workers_were_killed_for_memory_twice_fails_before_it_takes_a_third(open_session):
    session = open_session()
    order = session.start()
    session.coordinator.note_lost_worker(order.key, reason=Reason.OOM, detail="killed by Ray's memory monitor")
    session.coordinator.note_lost_worker(order.key, reason=Reason.OOM, detail="killed by Ray's memory monitor")

    report = session.runner.step()
    session.coordinator.record(report)
    row = session.coordinator.commit_trial(order.key)

    assert (row.reason, row.epochs) == (Reason.OOM, 0)
    assert "out of memory" in row.error


def test_a_trial_that_hangs_is_ended_once_and_fails_the_second_time(
    open_session, store, small_task, judge_task, monkeypatch
):
    session = open_session("trial_timeout_s=0.05")
    order = session.start()
    ended = threading.Event()

    def hangs(run: TrainingRun) -> None:
        assert ended.wait(30)
        raise RuntimeError("a process that has ended does not get here")

    monkeypatch.setattr(TrainingRun, "train_epoch", hangs)
    for _ in range(2):
        ended.clear()
        worker = TrialRunner(
            session.runner._config, small_task, judge_task, store, node_id="here", end_process=ended.set
        )
        worker.begin(order)
        worker.step()

    last = TrialRunner(session.runner._config, small_task, judge_task, store, node_id="here")
    last.begin(order)
    report = last.step()

    assert failure_counts(store, "small", "000000", trial_timeout_s=0.05) == {Reason.TIMEOUT: 2}
    assert report.failure.reason is Reason.TIMEOUT
    assert "trial_timeout_s = 0.05 s" in report.failure.error


def test_one_strike_does_not_end_a_trial(open_session, store):
    session = open_session("trial_timeout_s=60")
    session.start()
    record_failure(store, "small", "000000", Reason.TIMEOUT, detail="", limit_s=60.0)
    record_failure(store, "small", "000000", Reason.OOM, detail="")

    assert session.runner.step().failure is None


def test_a_trial_that_was_too_slow_twice_is_tried_again_under_a_longer_limit(open_session, store):
    session = open_session("trial_timeout_s=60", "pruning=off")
    order = session.start()
    for _ in range(2):
        record_failure(store, "small", order.key, Reason.TIMEOUT, detail="", limit_s=0.05)

    assert session.runner.step().failure is None


def test_a_worker_that_hears_of_a_stop_saves_its_epoch(open_session, store, small_task, judge_task):
    session = open_session("pruning=off")
    order = session.start()
    now = 0.0
    runner = TrialRunner(session.runner._config, small_task, judge_task, store, node_id="here", monotonic=lambda: now)
    runner.begin(order)
    before = runner.step()
    session.coordinator.record(before)
    unsaved = session.coordinator.unsaved
    session.lease.request_stop()
    now = 1.0

    after = runner.step()
    session.coordinator.record(after)

    assert (before.saved_epoch, after.saved_epoch) == (0, 2)
    assert (unsaved, session.coordinator.unsaved) == (True, False)
    assert checkpoints.newest_intact(store, "small", store_paths.trial_key(0)).epoch == 2


def test_a_worker_whose_node_is_about_to_leave_saves_every_epoch(open_session, store, small_task, judge_task):
    session = open_session("pruning=off")
    order = session.start()
    now, draining, asked = 0.0, False, 0

    def leaves_soon() -> bool:
        nonlocal asked
        asked += 1
        return draining

    runner = TrialRunner(
        session.runner._config,
        small_task,
        judge_task,
        store,
        node_id="here",
        leaves_soon=leaves_soon,
        monotonic=lambda: now,
    )
    runner.begin(order)
    saved = []
    for at, told in ((1.0, False), (1.5, True), (2.0, True), (2.5, True)):
        now, draining = at, told
        saved.append(runner.step().saved_epoch)

    assert saved == [0, 0, 3, 4]  # within a second of being told, and from then on each
    assert asked == 2
    assert checkpoints.newest_intact(store, "small", store_paths.trial_key(0)).epoch == 4


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="says what is done without a GPU")
def test_a_worker_that_was_given_a_gpu_and_finds_none_is_its_nodes_trouble(open_session):
    with pytest.raises(NodeTrouble, match=r"given 0\.5 GPUs, but TensorFlow sees none there"):
        open_session("resources.gpus_per_trial=0.5")


def test_a_row_says_on_what_the_trial_ran(open_session):
    session = open_session("budget.trials=1", "pruning=off")

    session.run()

    assert [row.device for row in session.landed] == ["cpu"]


@pytest.mark.parametrize(("cpus_per_trial", "threads"), [(1, 2), (2, None)])
def test_a_run_with_other_threads_than_its_process_is_refused(store, small_task, judge_task, cpus_per_trial, threads):
    """Also a trial of the search whose process was begun for a run with the cores of all: its bits would be others."""
    spec = small_spec(f"resources.cpus_per_trial={cpus_per_trial}")
    config = WorkerConfig(spec=spec, store=store.location, lease=1, rungs=(), log_folder=None)
    runner = TrialRunner(config, small_task, judge_task, store, node_id="here", threads=1)
    runner.begin(TrialAssignment(trial=0, params={"latent_dim": 2}, seed=1, threads=threads))

    with pytest.raises(
        Conflict, match=r"has 2 threads for each operation, but TensorFlow in this process has 1.*\n.*without --inline"
    ):
        runner.step()
