"""Dispatcher: whatever dies in whatever moment, every sweep ends, and no two drivers work on one."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.tiers import thinned
from vae_search.errors import LeaseLost
from vae_search.queue.dispatcher import Dispatcher, DriverEnd, Presence
from vae_search.queue.entries import QueueAction
from vae_search.queue.leadership import HEARTBEAT, Candidacy
from vae_search.queue.state import ItemState, QueueItem
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import SILENCE_S
from vae_search.store.leases.processes import Process, this_process

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEPS = 6  # of work in a sweep
CONFLICT, STOPPED = 5, 130


@dataclass
class Driver:
    """A made-up driver: one step of work a tick, and the sweep's lease, which two cannot hold."""

    item: int
    attempt: int
    sweep: str
    has_lease: bool
    is_alive: bool = True
    exit_code: int | None = None
    is_asked_to_stop: bool = False


@dataclass
class World:
    """What outlives every process: the work done, and who works; `faults` are exit codes by sweep, used up in order."""

    faults: dict[str, list[int]] = field(default_factory=dict)
    steps: int = STEPS
    work: Counter[str] = field(default_factory=Counter)
    drivers: list[Driver] = field(default_factory=list)
    now_s: float = 0.0
    most_at_once: int = 0

    def started(self, item: QueueItem) -> Driver:
        holds = all(not (other.is_alive and other.sweep == item.sweep) for other in self.drivers)
        driver = Driver(item=item.number, attempt=item.attempt or 0, sweep=item.sweep, has_lease=holds)
        self.drivers.append(driver)
        return driver

    def tick(self) -> None:
        self.now_s += 1.0
        working = [driver for driver in self.drivers if driver.is_alive]
        self.most_at_once = max(self.most_at_once, len(working))
        for driver in working:
            faults = self.faults.get(driver.sweep, [])
            if not driver.has_lease:
                driver.exit_code = CONFLICT
            elif driver.is_asked_to_stop:
                driver.exit_code = STOPPED
            elif faults:
                driver.exit_code = faults.pop(0)
            elif self.work[driver.sweep] < self.steps:
                self.work[driver.sweep] += 1
                continue
            else:
                driver.exit_code = 0
            driver.is_alive = False


class MadeUpDrivers:
    """The drivers as one dispatcher's process sees them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._own: dict[int, Driver] = {}

    def start(self, item: QueueItem) -> None:
        self._own[item.number] = self._world.started(item)

    def stop(self, item: QueueItem) -> None:
        for driver in self._world.drivers:
            if driver.sweep == item.sweep:
                driver.is_asked_to_stop = driver.is_alive

    def ended(self) -> Iterable[DriverEnd]:
        over = [(driver, driver.exit_code) for driver in self._own.values() if driver.exit_code is not None]
        return [
            DriverEnd(item=driver.item, attempt=driver.attempt, exit_code=code, reason=f"said {code}")
            for driver, code in over
        ]

    def forget(self, item: int) -> None:
        del self._own[item]

    def presence(self, item: QueueItem) -> Presence:
        own = self._own.get(item.number)
        if own is not None and own.is_alive:
            return Presence.OWN
        others = (driver for driver in self._world.drivers if driver.sweep == item.sweep and driver.has_lease)
        return Presence.ELSEWHERE if any(driver.is_alive for driver in others) else Presence.ABSENT


@pytest.fixture
def world() -> World:
    return World()


def queue_of(store: LocalStore, world: World) -> SweepQueue:
    return SweepQueue(store, now=lambda: NOW + timedelta(seconds=world.now_s))


def dispatcher(store: LocalStore, world: World, *, most: int = 3, drivers: MadeUpDrivers | None = None) -> Dispatcher:
    """A dispatcher that leads from now on; `drivers` of the process that it is in, if it has led before."""
    queue = queue_of(store, world)
    leader = queue.lead(this_process(), seen=queue.state())
    assert leader is not None
    return Dispatcher(
        queue,
        drivers or MadeUpDrivers(world),
        leader=leader,
        most=most,
        now=lambda: NOW + timedelta(seconds=world.now_s),
    )


def states(store: LocalStore, world: World) -> dict[str, ItemState]:
    return {item.sweep: item.state for item in queue_of(store, world).state().items}


def test_sweeps_are_run_one_after_the_other_up_to_the_limit(store, world):
    queue = queue_of(store, world)
    for name in "abcde":
        queue.submit("", sweep=name, actor="ada")
    at_work = dispatcher(store, world, most=2)

    for _ in range(60):
        at_work.step()
        world.tick()

    assert set(states(store, world).values()) == {ItemState.DONE}
    assert world.work == Counter(dict.fromkeys("abcde", STEPS))
    assert world.most_at_once == 2


def test_trouble_that_passes_is_tried_again_and_a_wrong_spec_is_parked_with_the_reason(store, world):
    world.faults = {"cluster": [4, 7, 4], "wrong": [2]}
    queue = queue_of(store, world)
    for name in world.faults:
        queue.submit("", sweep=name, actor="ada")
    at_work = dispatcher(store, world)

    for _ in range(120):
        at_work.step()
        world.tick()

    assert states(store, world) == {"cluster": ItemState.DONE, "wrong": ItemState.PARKED}
    assert [item.parked for item in queue.state().items] == [None, "said 2"]
    assert [attempt.exit_code for attempt in queue.state().items[0].attempts] == [4, 7, 4, 0]


def test_a_held_sweep_stops_and_goes_on_from_there_when_it_is_released(store, world):
    queue = queue_of(store, world)
    number = queue.submit("", sweep="a", actor="ada").number
    at_work = dispatcher(store, world)
    for _ in range(3):
        at_work.step()
        world.tick()

    queue.order(QueueAction.HOLD, number, actor="grace")
    for _ in range(5):
        at_work.step()
        world.tick()
    done_while_held = world.work["a"]
    assert states(store, world) == {"a": ItemState.HELD}
    assert 0 < done_while_held < STEPS

    queue.order(QueueAction.RELEASE, number, actor="grace")
    for _ in range(10):
        at_work.step()
        world.tick()
    assert states(store, world) == {"a": ItemState.DONE}
    assert world.work["a"] == STEPS


def test_a_driver_that_outlives_its_dispatcher_is_left_at_work(store, world):
    queue_of(store, world).submit("", sweep="a", actor="ada")
    dispatcher(store, world).step()
    world.tick()

    heir = dispatcher(store, world)
    for _ in range(30):
        heir.step()
        world.tick()

    (item,) = queue_of(store, world).state().items
    assert [attempt.exit_code for attempt in item.attempts] == [None, 0]  # nobody heard the first one's end
    assert world.most_at_once == 1
    assert world.work["a"] == STEPS


def test_the_end_of_an_attempt_that_another_has_followed_is_not_the_end_of_that_one(store, world):
    queue_of(store, world).submit("", sweep="a", actor="ada")
    own = MadeUpDrivers(world)
    dispatcher(store, world, drivers=own).step()
    world.drivers[0].is_alive, world.drivers[0].exit_code = False, 2  # a wrong spec, which would park the item
    other = dispatcher(store, world)
    other.step()  # knows of no driver's end: it counts as lost
    world.now_s += 10
    other.step()  # starts the second

    back = dispatcher(store, world, drivers=own)
    back.step()
    assert states(store, world) == {"a": ItemState.RUNNING}
    for _ in range(30):
        world.tick()
        back.step()

    (item,) = queue_of(store, world).state().items
    assert (item.state, world.work["a"]) == (ItemState.DONE, STEPS)
    assert 2 not in [attempt.exit_code for attempt in item.attempts]


@pytest.mark.parametrize("seed", thinned(range(20), every=3))
def test_ten_sweeps_of_three_owners_end_once_each_whatever_is_killed(store, seed):
    chance = random.Random(seed)
    world = World(faults={f"s{k}": chance.choices([4, 7, 1], k=chance.randrange(3)) for k in range(10)}, steps=20)
    queue = queue_of(store, world)
    for k in range(10):
        queue.submit("", sweep=f"s{k}", actor=("ada", "grace", "joan")[k % 3])
    at_work, kills = dispatcher(store, world), 0

    for tick in range(3000):
        if kills < 30 and chance.random() < 0.4:
            kills += 1
            if chance.random() < 0.5:
                at_work = dispatcher(store, world)  # the old one is gone with all that it knew
            elif alive := [driver for driver in world.drivers if driver.is_alive]:
                victim = chance.choice(alive)
                victim.is_alive, victim.exit_code = False, -9
        at_work.step()
        world.tick()
        if kills >= 30 and tick % 10 == 0 and set(states(store, world).values()) == {ItemState.DONE}:
            break

    assert set(states(store, world).values()) == {ItemState.DONE}
    assert world.work == Counter({f"s{k}": 20 for k in range(10)})
    assert kills >= 30


def test_two_dispatchers_at_once_start_nothing_twice(store, world):
    for k in range(4):
        queue_of(store, world).submit("", sweep=f"s{k}", actor="ada")
    sleeper = dispatcher(store, world)
    sleeper.step()
    heir = dispatcher(store, world)

    for _ in range(STEPS + 1):
        world.tick()
    with pytest.raises(LeaseLost):
        sleeper.step()
    for _ in range(60):
        heir.step()
        world.tick()

    assert set(states(store, world).values()) == {ItemState.DONE}
    assert world.work == Counter({f"s{k}": STEPS for k in range(4)})


ELSEWHERE = Process(pid=1, host="another machine", boot_id="b", pid_namespace="n", started_ticks=1)


def candidacy(store: LocalStore, world: World, process: Process) -> Candidacy:
    return Candidacy(store, queue_of(store, world), process=process, monotonic=lambda: world.now_s, beat_s=3600)


def test_the_first_candidate_leads_and_the_others_wait_until_it_resigns(store, world):
    first, second = candidacy(store, world, ELSEWHERE), candidacy(store, world, this_process())
    assert first.try_to_lead()
    assert not second.try_to_lead()

    first.resign()

    assert second.try_to_lead()
    second.resign()


def test_a_leader_on_another_machine_is_replaced_after_a_silence_and_not_before(store, world):
    first, second = candidacy(store, world, ELSEWHERE), candidacy(store, world, this_process())
    assert first.try_to_lead()
    assert not second.try_to_lead()
    world.now_s = SILENCE_S - 1
    assert not second.try_to_lead()
    first._beat(ended=False)
    assert not second.try_to_lead()
    world.now_s += SILENCE_S - 1
    assert not second.try_to_lead()

    world.now_s += 1

    assert second.try_to_lead()
    second.resign()
    first.resign()


def test_a_leader_whose_process_is_dead_is_replaced_at_once(store, world):
    dead = Process(**{**_fields(this_process()), "started_ticks": 1})  # another process has this id by now
    first, second = candidacy(store, world, dead), candidacy(store, world, this_process())
    assert first.try_to_lead()

    assert second.try_to_lead()

    second.resign()
    first.resign()


def test_a_damaged_heartbeat_is_no_sign_of_life(store, world):
    first, second = candidacy(store, world, ELSEWHERE), candidacy(store, world, this_process())
    assert first.try_to_lead()
    store.replace(HEARTBEAT, b"{}\n")
    assert not second.try_to_lead()

    world.now_s += SILENCE_S

    assert second.try_to_lead()
    second.resign()
    first.resign()


def _fields(process: Process) -> dict[str, object]:
    return {name: getattr(process, name) for name in Process.__dataclass_fields__}
