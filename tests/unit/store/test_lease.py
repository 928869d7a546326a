"""One driver per sweep."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from tests.support.rows import BEGAN
from vae_search.errors import Conflict, CorruptStore, LeaseLost, NotFound, StoreUnavailable
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.heartbeat import last_heartbeat, read_heartbeat, request_stop
from vae_search.store.leases.lease import SILENCE_S, Lease, acquire
from vae_search.store.leases.processes import this_process
from vae_search.store.leases.records import DriverProgress, Purpose
from vae_search.store.paths import SweepPaths

HOLD = """
import sys, time
from pathlib import Path
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire

lease = acquire(LocalStore(Path(sys.argv[1])), "digits")
print(lease.number, flush=True)
time.sleep(60)
"""


class Time:
    """A monotonic clock that only sleeping moves; `meanwhile` happens in each sleep."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.now_s = 1000.0
        self.meanwhile = meanwhile

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.meanwhile()


def never(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")


def take(store: LocalStore, watch: Time | None = None) -> Lease:
    """The sweep's lease, without a thread that would beat during a test."""
    watch = watch or Time()
    return acquire(store, "digits", monotonic=watch.monotonic, sleep=watch.sleep, beat_s=3600)


def hold_elsewhere(store: LocalStore, number: int, *, counter: int = 1, purpose: str = "train") -> None:
    """A driver on another machine takes a lease and beats."""
    process = asdict(replace(this_process(), boot_id="other", host="far", pid=77))
    record = {"lease": number, "nonce": "n", "process": process, "started_at": BEGAN.isoformat()}
    record["purpose"] = purpose
    store.create(SweepPaths("digits").lease(number), to_json_bytes(record))
    beat_elsewhere(store, number, counter)


def beat_elsewhere(store: LocalStore, number: int, counter: int) -> None:
    store.replace(
        SweepPaths("digits").heartbeat,
        to_json_bytes({"lease": number, "counter": counter, "progress": {"done": counter}}),
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_first_driver_gets_lease_1_at_once_and_shows_itself(store: LocalStore) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)

    lease = acquire(store, "digits", progress=lambda: DriverProgress(driver_s=3.0), clock=lambda: now, sleep=never)

    seen = read_heartbeat(store, "digits")
    assert lease.number == 1
    assert (seen.lease, seen.counter, seen.progress, seen.alive) == (1, 1, DriverProgress(driver_s=3.0), True)
    assert (seen.holder.process, seen.holder.started_at) == (this_process(), now)
    lease.check()
    lease.release()


def test_a_released_sweep_is_free_at_once(store: LocalStore) -> None:
    first = take(store)
    first.release()
    first.release()

    second = acquire(store, "digits", sleep=never)

    assert second.number == 2
    with pytest.raises(LeaseLost):
        first.check()
    second.release()
    assert read_heartbeat(store, "digits") is None


def test_of_eight_drivers_that_start_together_one_gets_the_sweep(store: LocalStore) -> None:
    start = threading.Barrier(8)

    def attempt(_: int) -> Lease | Conflict:
        start.wait()
        try:
            return acquire(store, "digits", sleep=lambda _: time.sleep(0.02), beat_s=0.01)
        except Conflict as conflict:
            return conflict

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))

    leases = [outcome for outcome in outcomes if isinstance(outcome, Lease)]
    assert [lease.number for lease in leases] == [1]
    leases[0].check()
    leases[0].release()


def test_a_killed_driver_is_replaced_at_once(store: LocalStore) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, store.location], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "1\n"
        assert read_heartbeat(store, "digits").alive is True
        driver.kill()

    lease = acquire(store, "digits", sleep=never)

    assert lease.number == 2
    lease.release()


def test_a_driver_at_work_is_not_disturbed_and_named(store: LocalStore) -> None:
    hold_elsewhere(store, 1, counter=5)
    watch = Time(meanwhile=lambda: beat_elsewhere(store, 1, 6))

    with pytest.raises(Conflict) as conflict:
        take(store, watch)

    assert str(conflict.value) == (
        "sweep digits: another driver is at work: process 77 on far since 2026-03-01 12:30:00 UTC (lease 1).\n"
        "Wait for it, or stop it with `vae-search stop digits`."
    )
    assert store.list(SweepPaths("digits").leases) == [SweepPaths("digits").lease(1)]
    assert watch.now_s < 1000 + SILENCE_S


def test_a_driver_that_is_silent_for_long_is_replaced(store: LocalStore) -> None:
    hold_elsewhere(store, 1)
    watch = Time()

    lease = take(store, watch)

    assert lease.number == 2
    assert watch.now_s == 1000 + SILENCE_S
    assert read_heartbeat(store, "digits").lease == 2
    lease.release()


def test_a_removal_waits_for_no_silent_driver_unless_somebody_knows_that_it_is_gone(store: LocalStore) -> None:
    hold_elsewhere(store, 1)
    watch = Time()

    def remove(*, take_over: bool) -> Lease:
        return acquire(
            store, "digits", purpose=Purpose.REMOVE, take_over=take_over, monotonic=watch.monotonic, sleep=watch.sleep
        )

    with pytest.raises(Conflict, match=r"process 77 on far .* is at work .*\n.*`vae-search rm digits --take-over`"):
        remove(take_over=False)

    lease = remove(take_over=True)
    assert lease.number == 2
    lease.release()


def test_a_silent_removal_is_not_taken_over_by_a_driver(store: LocalStore) -> None:
    hold_elsewhere(store, 1, purpose="remove")

    with pytest.raises(Conflict, match="began to remove the sweep and has been silent"):
        take(store)


def test_a_driver_that_wakes_up_in_the_last_second_keeps_its_sweep(store: LocalStore) -> None:
    hold_elsewhere(store, 1)
    watch = Time()
    watch.meanwhile = lambda: beat_elsewhere(store, 1, 2) if watch.now_s >= 1000 + SILENCE_S else None

    with pytest.raises(Conflict):
        take(store, watch)


def test_a_driver_that_was_taken_over_by_a_third_is_a_conflict_with_the_third(store: LocalStore) -> None:
    hold_elsewhere(store, 1)

    def third_comes_first() -> None:
        if len(store.list(SweepPaths("digits").leases)) == 1:
            hold_elsewhere(store, 2)

    with pytest.raises(Conflict, match="lease 2"):
        take(store, Time(third_comes_first))


def test_a_driver_that_has_not_beaten_yet_is_given_time(store: LocalStore) -> None:
    hold_elsewhere(store, 1, counter=1)
    hold_elsewhere(store, 2, counter=1)
    beat_elsewhere(store, 1, 1)  # the heartbeat is still that of lease 1

    seen = read_heartbeat(store, "digits")

    assert (seen.lease, seen.counter, seen.progress, seen.alive) == (2, 0, DriverProgress(), None)
    with pytest.raises(Conflict, match="lease 2"):
        take(store, Time(lambda: beat_elsewhere(store, 2, 1)))


def test_a_driver_that_was_taken_over_notices_and_leaves_the_heartbeat_alone(store: LocalStore) -> None:
    lease = take(store)
    lease.check()
    hold_elsewhere(store, 2, counter=8)

    with pytest.raises(LeaseLost, match=r"lease 1 was taken over by process 77 on far .* stops without writing"):
        lease.check()
    with pytest.raises(LeaseLost):
        lease.beat()

    assert read_heartbeat(store, "digits").counter == 8
    lease.release()
    assert read_heartbeat(store, "digits").lease == 2


def test_it_beats_by_itself_until_released(store: LocalStore) -> None:
    lease = acquire(store, "digits", beat_s=0.01)
    heartbeat = SweepPaths("digits").heartbeat

    until(lambda: from_json_bytes(store.read(heartbeat), where="")["counter"] >= 3)
    lease.release()

    assert not any(thread.name == "heartbeat of digits" for thread in threading.enumerate())


def test_trouble_with_the_heartbeat_is_raised_where_the_driver_works_and_forgotten_when_over(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    full, disk_is_full = StoreUnavailable("disk full"), threading.Event()
    failures: list[int] = []

    def progress() -> DriverProgress:
        if disk_is_full.is_set():
            failures.append(1)
            raise full
        return DriverProgress()

    def is_in_trouble() -> bool:
        try:
            lease.check()
        except StoreUnavailable as error:
            return error is full
        return False

    lease = acquire(store, "digits", progress=progress, beat_s=0.01)

    disk_is_full.set()
    until(lambda: is_in_trouble() and len(failures) >= 3)
    disk_is_full.clear()
    until(lambda: not is_in_trouble())
    lease.release()

    assert caplog.messages == ["sweep digits: a heartbeat of lease 1 failed"]


def test_a_request_to_stop_reaches_the_driver_it_was_meant_for(store: LocalStore) -> None:
    first = take(store)
    assert not first.stop_requested()

    asked = request_stop(store, "digits")
    request_stop(store, "digits")

    assert asked.process == this_process()
    assert first.stop_requested()
    first.release()
    second = take(store)
    assert not second.stop_requested()
    second.release()


def test_nobody_can_be_asked_to_stop_when_no_driver_runs(store: LocalStore) -> None:
    with pytest.raises(NotFound, match="no driver is running"):
        request_stop(store, "digits")

    take(store).release()
    with pytest.raises(NotFound, match="no driver is running"):
        request_stop(store, "digits")

    with subprocess.Popen([sys.executable, "-c", HOLD, store.location], stdout=subprocess.PIPE, text=True) as driver:
        driver.stdout.readline()
        driver.kill()
    with pytest.raises(NotFound, match="no driver is running"):
        request_stop(store, "digits")
    assert read_heartbeat(store, "digits").alive is False


@pytest.mark.parametrize("record", [{"lease": 1}, {"process": {"pid": 1}, "started_at": "x"}], ids=str)
def test_a_damaged_lease_is_named(store: LocalStore, record: dict[str, object]) -> None:
    store.create(SweepPaths("digits").lease(1), to_json_bytes(record))

    with pytest.raises(CorruptStore, match=r"leases/000001\.json: is not a lease"):
        take(store)


def test_a_damaged_heartbeat_is_named(store: LocalStore) -> None:
    hold_elsewhere(store, 1)
    store.replace(SweepPaths("digits").heartbeat, to_json_bytes({"lease": "1"}))

    with pytest.raises(CorruptStore, match=r"heartbeat\.json: is not a heartbeat"):
        take(store)


def test_a_lease_of_the_same_number_that_is_another_s_is_lost(store: LocalStore) -> None:
    """As after a removal by hand, or a restored copy: the numbers begin at 1 again."""
    sleeper = take(store)
    store.remove_tree(SweepPaths("digits").folder)
    other = take(store)

    assert other.number == sleeper.number
    with pytest.raises(LeaseLost, match="lease 1 is gone, or is another driver's: the sweep was removed"):
        sleeper.check()
    with pytest.raises(LeaseLost):
        sleeper.beat()

    sleeper.release()
    assert read_heartbeat(store, "digits").ended is False  # the other's lease is not ended by the sleeper's release
    other.check()
    other.release()


def test_a_lease_whose_record_is_gone_is_lost(store: LocalStore) -> None:
    lease = take(store)
    store.remove(SweepPaths("digits").lease(1))

    with pytest.raises(LeaseLost):
        lease.check()
    lease.release()


def used(store: LocalStore) -> DriverProgress:
    return last_heartbeat(store, "digits").progress


def test_driver_time_and_exhaustion_survive_leases_that_train_nothing(store: LocalStore) -> None:
    spent = DriverProgress(driver_s=1805.0, exhausted=True)
    acquire(store, "digits", purpose=Purpose.TRAIN, progress=lambda: spent).release()

    for _ in range(3):  # gc, verify --repair
        lease = take(store)
        assert used(store) == spent
        lease.release()

    assert used(store) == spent


def test_driver_time_survives_the_loss_of_the_heartbeat_once_the_driver_has_ended(store: LocalStore) -> None:
    spent = DriverProgress(driver_s=60.0)
    acquire(store, "digits", purpose=Purpose.TRAIN, progress=lambda: spent).release()
    store.remove(SweepPaths("digits").heartbeat)

    assert used(store) == spent


def test_driver_time_of_a_driver_that_died_is_its_last_heartbeat_s(store: LocalStore) -> None:
    own = [10.0]
    acquire(store, "digits", purpose=Purpose.TRAIN, progress=lambda: DriverProgress(driver_s=60.0)).release()
    with subprocess.Popen([sys.executable, "-c", HOLD, store.location], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout.readline() == "2\n"
        driver.kill()

    lease = acquire(store, "digits", purpose=Purpose.TRAIN, progress=lambda: DriverProgress(driver_s=own[0]))

    assert lease.before == DriverProgress(driver_s=60.0)
    own[0] = 15.0
    lease.beat()
    assert used(store) == DriverProgress(driver_s=75.0)
    lease.release()


def test_a_driver_that_dies_before_its_first_heartbeat_leaves_the_time_of_those_before(store: LocalStore) -> None:
    spent = DriverProgress(driver_s=60.0, exhausted=True)
    acquire(store, "digits", purpose=Purpose.TRAIN, progress=lambda: spent).release()
    record = from_json_bytes(store.read(SweepPaths("digits").lease(1)), where="")
    lease_2 = record | {"lease": 2, "nonce": "2", "before": asdict(spent)}
    store.create(SweepPaths("digits").lease(2), to_json_bytes(lease_2))

    assert used(store) == DriverProgress(driver_s=60.0)  # it began because there may be more to do


def test_the_driver_time_of_an_older_version_stands_in_the_heartbeat_alone(store: LocalStore) -> None:
    hold_elsewhere(store, 1)
    old = {"lease": 1, "counter": 7, "progress": {"driver_s": 42.0, "exhausted": True}}
    store.replace(SweepPaths("digits").heartbeat, to_json_bytes(old))
    store.create(SweepPaths("digits").lease_ended(1), to_json_bytes({"lease": 1}))
    assert used(store) == DriverProgress(driver_s=42.0, exhausted=True)

    take(store).release()

    assert used(store) == DriverProgress(driver_s=42.0, exhausted=True)
