"""The queue's log: orders are taken in once, in one order, whoever gives them."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from vae_search.errors import Conflict, CorruptStore, LeaseLost, NotFound
from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.state import ItemState, fold
from vae_search.queue.sweep_queue import FOLDER, SweepQueue
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.processes import this_process

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def queue(store: LocalStore) -> SweepQueue:
    return SweepQueue(store, now=lambda: NOW)


@pytest.fixture
def leader(queue: SweepQueue) -> int:
    number = queue.lead(this_process(), seen=queue.state())
    assert number is not None
    return number


def submitted(queue: SweepQueue, *sweeps: str, owner: str | None = "ada") -> list[int]:
    return [queue.submit(f"name: {sweep}\n", sweep=sweep, actor=owner).number for sweep in sweeps]


def ended(queue: SweepQueue, number: int, exit_code: int | None, reason: str | None = None) -> ItemState:
    leader = queue.state().leader
    assert leader is not None
    queue.note(QueueAction.START, number, leader=leader.number)
    state = queue.note(QueueAction.END, number, leader=leader.number, exit_code=exit_code, reason=reason)
    item = state.item(number)
    assert item is not None
    return item.state


def test_orders_are_read_back_by_another_process(store, queue):
    first, second = submitted(queue, "a", "b")
    queue.order(QueueAction.HOLD, first, actor="grace")

    other = SweepQueue(store, now=lambda: NOW).state()

    assert [(item.number, item.sweep, item.state) for item in other.items] == [
        (first, "a", ItemState.HELD),
        (second, "b", ItemState.WAITING),
    ]
    assert other.items[1].spec == "name: b\n"
    assert other.items[1].owner == "ada"


def test_the_same_order_again_is_the_same_item(queue):
    first = queue.submit("name: a\n", sweep="a", actor="ada", idempotency_key="k")

    again = queue.submit("name: a\n", sweep="a", actor="ada", idempotency_key="k")

    assert again == first
    with pytest.raises(Conflict, match="was used for another order"):
        queue.submit("name: b\n", sweep="b", actor="ada", idempotency_key="k")
    assert queue.submit("name: b\n", sweep="b", actor="grace", idempotency_key="k").number != first.number


def test_a_sweep_stands_in_the_queue_once_until_it_is_over(queue):
    (number,) = submitted(queue, "a")

    with pytest.raises(Conflict, match=f"as item {number} \\(waiting\\)"):
        submitted(queue, "a")

    queue.order(QueueAction.CANCEL, number, actor="ada")
    assert submitted(queue, "a") == [number + 2]


@pytest.mark.parametrize(
    ("exit_codes", "state"),
    [
        ([0], ItemState.DONE),
        ([2], ItemState.PARKED),
        ([3], ItemState.PARKED),
        ([5], ItemState.WAITING),  # with a driver that was about to end
        ([5, 5], ItemState.PARKED),
        ([5, 130, 5], ItemState.WAITING),
        ([6], ItemState.PARKED),
        ([4, 4, 4, 4], ItemState.WAITING),
        ([7], ItemState.WAITING),
        ([None, -9, 130], ItemState.WAITING),
        ([1, 1], ItemState.WAITING),
        ([1, 1, 1], ItemState.PARKED),
        ([1, None, 1, 1], ItemState.WAITING),
        ([4, 0], ItemState.DONE),
    ],
)
def test_what_becomes_of_an_item_follows_from_how_its_drivers_ended(queue, leader, exit_codes, state):
    (number,) = submitted(queue, "a")

    states = [ended(queue, number, code, "why") for code in exit_codes]

    assert states[-1] is state


def test_a_parked_item_says_why_and_is_tried_again_when_it_is_released(queue, leader):
    (number,) = submitted(queue, "a")
    ended(queue, number, 2, "spec:3: budget.trials is missing")

    assert queue.state().items[0].parked == "spec:3: budget.trials is missing"
    assert queue.order(QueueAction.RELEASE, number, actor="ada").state is ItemState.WAITING


def test_a_driver_at_work_on_a_held_item_is_unwanted_until_it_has_ended(queue, leader):
    (number,) = submitted(queue, "a")
    queue.note(QueueAction.START, number, leader=leader)

    item = queue.order(QueueAction.HOLD, number, actor="ada")

    assert (item.state, item.is_unwanted) == (ItemState.RUNNING, True)
    assert queue.note(QueueAction.END, number, leader=leader, exit_code=130).items[0].state is ItemState.HELD


def test_an_item_is_moved_before_another_and_to_the_end(queue):
    a, b, c = submitted(queue, "a", "b", "c")

    queue.order(QueueAction.MOVE, c, actor="ada", before=a)
    assert [item.number for item in queue.state().items] == [c, a, b]

    queue.order(QueueAction.MOVE, c, actor="ada")
    assert [item.number for item in queue.state().items] == [a, b, c]
    with pytest.raises(NotFound, match="no other item 99"):
        queue.order(QueueAction.MOVE, a, actor="ada", before=99)


def test_nothing_is_ordered_of_what_is_not_there_or_over(queue, leader):
    (number,) = submitted(queue, "a")
    ended(queue, number, 0)

    with pytest.raises(Conflict, match="is done"):
        queue.order(QueueAction.CANCEL, number, actor="ada")
    with pytest.raises(NotFound, match="no item 7"):
        queue.order(QueueAction.HOLD, 7, actor="ada")


def test_no_driver_is_started_for_what_was_cancelled_meanwhile(store, queue, leader):
    (number,) = submitted(queue, "a")
    SweepQueue(store, now=lambda: NOW).order(QueueAction.CANCEL, number, actor="ada")

    with pytest.raises(Conflict, match="is cancelled"):
        queue.note(QueueAction.START, number, leader=leader)


def test_a_dispatcher_that_was_replaced_can_note_nothing(store, queue, leader):
    (number,) = submitted(queue, "a")
    other = SweepQueue(store, now=lambda: NOW)
    assert other.lead(this_process(), seen=other.state())

    with pytest.raises(LeaseLost, match=f"place of dispatcher {leader}"):
        queue.note(QueueAction.START, number, leader=leader)
    assert other.state().items[0].state is ItemState.WAITING


def test_an_end_is_of_the_attempt_that_it_names(queue, leader):
    (number,) = submitted(queue, "a")
    first = queue.note(QueueAction.START, number, leader=leader).items[0].attempt
    queue.note(QueueAction.END, number, leader=leader, attempt=first, exit_code=130)
    queue.note(QueueAction.START, number, leader=leader)

    with pytest.raises(Conflict, match="is running"):
        queue.note(QueueAction.END, number, leader=leader, attempt=first, exit_code=0)
    late = QueueEntry(action=QueueAction.END, at=NOW, nonce="n", item=number, leader=leader, attempt=first)
    with pytest.raises(CorruptStore, match=f"ends attempt {first}, which another has followed"):
        fold([late], onto=queue.state())

    assert queue.state().items[0].state is ItemState.RUNNING


def test_of_many_who_submit_at_once_none_is_lost(store):
    names = [f"sweep-{k}" for k in range(24)]
    workers = [
        threading.Thread(target=submitted, args=(SweepQueue(store, now=lambda: NOW), *names[k::6])) for k in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    state = SweepQueue(store, now=lambda: NOW).state()

    assert sorted(item.sweep for item in state.items) == sorted(names)
    assert [item.number for item in state.items] == [*range(1, 25)]


def test_an_entry_that_was_rewritten_is_noticed(store, queue):
    submitted(queue, "a", "b")
    path = f"{FOLDER}/000001.json"
    record = json.loads(store.read(path))
    store.replace(path, json.dumps(record | {"actor": "eve"}).encode())

    with pytest.raises(CorruptStore, match="do not match its digest"):
        SweepQueue(store, now=lambda: NOW).state()


def test_the_state_is_the_same_read_at_once_and_entry_by_entry(queue, leader):
    a, b = submitted(queue, "a", "b")
    ended(queue, a, 4)
    queue.order(QueueAction.PRIORITIZE, b, actor="ada", priority=5)
    later = NOW + timedelta(hours=1)
    entry = QueueEntry(action=QueueAction.START, at=later, nonce="n", item=b, leader=leader)

    assert fold([entry], onto=queue.state()).items[1].attempts[0].began_at == later


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": QueueAction.SUBMIT, "sweep": "a", "priority": 0},
        {"action": QueueAction.SUBMIT, "sweep": "a", "spec": "s"},
        {"action": QueueAction.SUBMIT, "sweep": "a", "spec": "s", "priority": 101},
        {"action": QueueAction.HOLD},
        {"action": QueueAction.LEAD},
        {"action": QueueAction.START, "item": 1},
        {"action": QueueAction.HOLD, "item": 1, "priority": 1},
        {"action": QueueAction.START, "item": 1, "leader": 1, "attempt": 1},
    ],
)
def test_an_entry_without_what_its_action_needs_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must|goes with"):
        QueueEntry(at=NOW, nonce="n", **wrong)
