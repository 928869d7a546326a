"""The queue with real drivers: a dispatcher and its drivers are killed, and every sweep ends, each trial once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vae_search.queue.entries import QueueAction
from vae_search.queue.state import ItemState, QueueItem
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.heartbeat import read_heartbeat
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow, pytest.mark.timeout(600)]

SPEC = """
name: {name}
data: {{source: digits}}
search_space: {{latent_dim: {{type: int, low: 2, high: 6}}, depth: 1, width: 16, batch_size: 64}}
budget: {{trials: {trials}, epochs: {epochs}}}
pruning: off
checkpoint_s: 0.1
confirm: {{finalists: 0}}
"""
DISPATCHER = """
import sys, tempfile, threading, time, signal
from pathlib import Path
from vae_search.services.queue.child_drivers import ChildDrivers
from vae_search.services.queue.dispatch import dispatch
from vae_search.store.backends.local import LocalStore

store = LocalStore(Path(sys.argv[1]))
stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
drivers = ChildDrivers(
    store, folder=Path(tempfile.mkdtemp(dir=sys.argv[2])), options=("--inline",), monotonic=time.monotonic
)
dispatch(store, drivers, stopped=stopped, most=2, step_s=0.1)
drivers.stop_all(wait_s=60)
"""


@pytest.fixture
def queue(store: LocalStore) -> SweepQueue:
    return SweepQueue(store, now=lambda: datetime.now(UTC))


@pytest.fixture
def begin(store: LocalStore, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a dispatcher; all of them, and the drivers that they leave, are ended with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "dispatchers.log").open("ab") as log:
            command = [sys.executable, "-c", DISPATCHER, store.location, str(tmp_path)]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
    for item in SweepQueue(store, now=lambda: datetime.now(UTC)).state().items:
        kill_driver(store, item.sweep)


def kill_driver(store: LocalStore, sweep: str) -> bool:
    last = read_heartbeat(store, sweep)
    if last is None or not last.alive:
        return False
    os.kill(last.holder.process.pid, signal.SIGKILL)
    return True


def until(holds: Callable[[], bool], *, within_s: float = 240) -> None:
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < within_s
        time.sleep(0.05)


def submitted(queue: SweepQueue, name: str, *, trials: int = 4, epochs: int = 3) -> QueueItem:
    return queue.submit(SPEC.format(name=name, trials=trials, epochs=epochs), sweep=name, actor="ada")


def trials_of(store: LocalStore, sweep: str) -> list[int]:
    return [row.trial for row in Ledger(store, sweep).read().rows]


def test_sweeps_end_once_each_although_dispatchers_and_drivers_are_killed(store, queue, begin):
    names = ["a", "b", "c"]
    for name in names:
        submitted(queue, name, trials=6, epochs=8)

    dispatcher = begin()
    until(lambda: len(trials_of(store, "a")) >= 1)
    dispatcher.kill()  # its drivers go on
    assert kill_driver(store, "a")
    dispatcher = begin()
    until(lambda: len(trials_of(store, "b")) >= 2)
    kill_driver(store, "b")
    dispatcher.kill()
    begin()

    until(lambda: all(item.state is ItemState.DONE for item in queue.state().items))
    assert {name: trials_of(store, name) for name in names} == {name: [*range(6)] for name in names}
    assert [item.attempts[-1].exit_code for item in queue.state().items] == [0, 0, 0]


def test_a_held_sweep_is_stopped_and_an_ended_server_stops_its_drivers(store, queue, begin):
    number = submitted(queue, "long", trials=1, epochs=100_000).number
    dispatcher = begin()
    until(lambda: (last := read_heartbeat(store, "long")) is not None and bool(last.alive))

    queue.order(QueueAction.HOLD, number, actor="ada")
    until(lambda: queue.state().items[0].state is ItemState.HELD)
    assert queue.state().items[0].attempts[-1].exit_code == 130

    queue.order(QueueAction.RELEASE, number, actor="ada")
    until(lambda: (last := read_heartbeat(store, "long")) is not None and bool(last.alive))
    dispatcher.send_signal(signal.SIGTERM)
    assert dispatcher.wait(60) == 0
    assert read_heartbeat(store, "long") is None  # it has left in order


def test_a_wrong_spec_is_parked_with_the_words_of_its_driver(store, queue, begin):
    queue.submit("name: wrong\ndata: {source: digits}\n", sweep="wrong", actor="ada")
    begin()

    until(lambda: queue.state().items[0].state is ItemState.PARKED)

    assert "budget" in (queue.state().items[0].parked or "")
