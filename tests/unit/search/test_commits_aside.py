"""Commits of a far store, written aside: told and shown when they are durable, and never under a lost lease."""

import threading

import pytest

from vae_search.errors import LeaseLost, StoreUnavailable
from vae_search.search.pending_trials import PendingTrials
from vae_search.search.weight_retention import WeightRetention
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

pytestmark = pytest.mark.needs_tensorflow

PATHS = SweepPaths("small")
SPEC = ("budget.trials=3", "pruning=off")


class Gated(LocalStore):
    """A store that holds writers of rows up at a gate of their own, or meets them with trouble."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.gates: dict[str, threading.Event] = {}
        self.at_gate = threading.Semaphore(0)
        self.trouble: StoreUnavailable | None = None

    def create(self, path: str, content: bytes) -> None:
        if path in self.gates:
            self.at_gate.release()
            assert self.gates[path].wait(30)
        if path.startswith(PATHS.trials) and self.trouble is not None:
            raise self.trouble
        super().create(path, content)


@pytest.fixture
def store(tmp_path) -> Gated:
    return Gated(tmp_path / "store")


def ended(session) -> str:
    """The key of a trial that a worker has trained to its end."""
    assignment = session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    return assignment.key


def test_a_trial_is_told_and_shown_once_its_row_is_durable_and_then_its_folder_goes(open_session, store):
    store.gates[PATHS.trial(0)] = threading.Event()
    session = open_session(*SPEC, writers=4)
    key = ended(session)

    session.coordinator.begin_commit(key)
    store.at_gate.acquire()
    session.coordinator.settle()
    before = ([*session.landed], session.coordinator.in_flight, session.coordinator.progress().finished)
    folder = store.list(PATHS.run(key))
    store.gates[PATHS.trial(0)].set()
    session.coordinator.settle(wait=True)
    session.coordinator.close()

    assert before == ([], 1, 0)
    assert PATHS.suggestion(key) in folder
    assert session.landed == Ledger(store, "small").trials()
    assert (session.coordinator.in_flight, session.coordinator.progress().finished) == (0, 1)
    assert store.list(PATHS.run(key)) == []


def test_trials_are_told_in_the_order_in_which_they_ended_whichever_row_is_first(open_session, store):
    store.gates[PATHS.trial(0)] = threading.Event()
    session = open_session(*SPEC, writers=4)
    for _ in range(2):
        session.coordinator.begin_commit(ended(session))
    store.at_gate.acquire()

    store.gates[PATHS.trial(0)].set()
    session.coordinator.settle(wait=True)
    session.coordinator.close()

    assert [row.trial for row in session.landed] == [0, 1]


def test_a_whole_sweep_aside_ends_as_one_that_commits_at_once(open_session, store):
    session = open_session(*SPEC, writers=4)
    while not session.coordinator.exhausted:
        session.coordinator.begin_commit(ended(session))
        session.coordinator.settle(wait=True)
    session.coordinator.close()

    assert [row.trial for row in session.landed] == [0, 1, 2]
    assert store.list(PATHS.running) == []
    kept = {path.split("/")[3] for path in store.list(PATHS.artifacts)}
    assert kept == {f"{row.trial:06d}" for row in sorted(session.landed, key=lambda row: row.objective)[:2]}


def test_under_a_lost_lease_no_row_is_written_and_nothing_is_told(open_session, store):
    session = open_session(*SPEC, writers=4)
    key = ended(session)
    session.lease.release()
    newer = acquire(store, "small")

    session.coordinator.begin_commit(key)
    with pytest.raises(LeaseLost):
        session.coordinator.settle(wait=True)
    session.coordinator.close()
    newer.release()

    assert session.landed == []
    assert store.list(PATHS.trials) == []


def test_trouble_of_the_store_is_raised_and_the_trial_stays_in_flight(open_session, store):
    session = open_session(*SPEC, writers=4)
    key = ended(session)
    store.trouble = StoreUnavailable("full")

    session.coordinator.begin_commit(key)
    with pytest.raises(StoreUnavailable, match="full"):
        session.coordinator.settle(wait=True)
    session.coordinator.close()

    assert (session.landed, session.coordinator.in_flight) == ([], 1)
    store.trouble = None
    assert open_session(*SPEC).coordinator.next_assignment().key == key


def test_a_driver_that_closes_leaves_no_writer_behind(open_session, store):
    store.gates[PATHS.trial(0)] = threading.Event()
    session = open_session(*SPEC, writers=4)
    session.coordinator.begin_commit(ended(session))
    store.at_gate.acquire()
    threading.Timer(0.05, store.gates[PATHS.trial(0)].set).start()

    session.coordinator.close()

    assert [row.trial for row in Ledger(store, "small").trials()] == [0]


@pytest.mark.parametrize("writers", [0, 4])
def test_under_a_lost_lease_nothing_is_handed_out(open_session, store, writers):
    session = open_session(*SPEC, writers=writers)
    session.lease.release()
    newer = acquire(store, "small")

    with pytest.raises(LeaseLost):
        session.coordinator.next_assignment()

    session.coordinator.close()
    newer.release()


def test_a_suggestion_that_a_lost_driver_left_late_is_replaced_by_the_one_that_is_trained(open_session, store):
    late = open_session(*SPEC).coordinator.next_assignment()
    store.remove_tree(PATHS.running)
    session = open_session(*SPEC, "seed=7")
    PendingTrials(store, "small").record(late)

    issued = session.coordinator.next_assignment()

    assert issued.params != late.params
    assert PendingTrials(store, "small").all() == [issued]


def test_a_trial_that_is_only_being_committed_takes_no_slot(open_session, store):
    store.gates[PATHS.trial(0)] = threading.Event()
    session = open_session(*SPEC, writers=4)
    key = ended(session)

    session.coordinator.begin_commit(key)
    store.at_gate.acquire()
    claimed = (session.coordinator.in_flight, session.coordinator.claimed_slots, session.coordinator.training)
    store.gates[PATHS.trial(0)].set()
    session.coordinator.settle(wait=True)

    assert claimed == (1, 0, 0)
    assert session.training[-1] is False


def test_weights_that_fell_behind_are_found_by_one_look(open_session, store, monkeypatch):
    session = open_session(*SPEC)
    looks: list[str] = []
    list_files = store.list
    monkeypatch.setattr(store, "list", lambda prefix: looks.append(prefix) or list_files(prefix))

    WeightRetention(session.spec, store).drop(range(1000))

    assert looks == [PATHS.artifacts]
