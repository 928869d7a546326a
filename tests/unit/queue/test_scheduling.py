"""Scheduling: priority, then fairness among owners, then the queue's order; troubled items wait."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.scheduling import next_items, ready_at
from vae_search.queue.state import QueueState, fold
from vae_search.store.leases.processes import this_process

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(action: QueueAction, **what: object) -> QueueEntry:
    return QueueEntry(action=action, at=what.pop("at", NOW), nonce="n", **what)  # type: ignore[arg-type]


def queue_of(*orders: tuple[str, str, int]) -> QueueState:
    """Items of (sweep, owner, priority), numbered from 2: entry 1 is the dispatcher's."""
    lead = entry(QueueAction.LEAD, process=asdict(this_process()))
    submits = [
        entry(QueueAction.SUBMIT, sweep=sweep, spec="", actor=owner, priority=priority)
        for sweep, owner, priority in orders
    ]
    return fold([lead, *submits])


def started(item: int) -> QueueEntry:
    return entry(QueueAction.START, item=item, leader=1)


def ended(item: int, exit_code: int | None) -> QueueEntry:
    return entry(QueueAction.END, item=item, leader=1, exit_code=exit_code)


def sweeps(queue: QueueState, *, most: int, now: datetime = NOW) -> list[str]:
    return [item.sweep for item in next_items(queue, now=now, most=most)]


def test_the_order_of_the_queue_decides_between_equals():
    queue = queue_of(("a", "ada", 0), ("b", "ada", 0), ("c", "ada", 0))

    assert sweeps(queue, most=2) == ["a", "b"]


def test_a_higher_priority_goes_first_whoever_owns_it():
    queue = queue_of(("a", "ada", 0), ("b", "grace", 0), ("c", "ada", 1))

    assert sweeps(queue, most=3) == ["c", "b", "a"]


def test_one_owner_of_many_does_not_keep_another_waiting():
    queue = queue_of(*((f"a{k}", "ada", 0) for k in range(100)), ("g", "grace", 0), ("h", "grace", 0))

    assert sweeps(queue, most=4) == ["a0", "g", "a1", "h"]


def test_sweeps_at_work_count_for_fairness_and_take_their_places():
    queue = queue_of(("a0", "ada", 0), ("a1", "ada", 0), ("g", "grace", 0))
    queue = fold([started(2)], onto=queue)

    assert sweeps(queue, most=2) == ["g"]
    assert sweeps(queue, most=1) == []


def test_held_and_cancelled_items_are_passed_over():
    queue = queue_of(("a", "ada", 0), ("b", "ada", 0), ("c", "ada", 0))
    queue = fold([entry(QueueAction.HOLD, item=2), entry(QueueAction.CANCEL, item=3)], onto=queue)

    assert sweeps(queue, most=3) == ["c"]


@pytest.mark.parametrize(
    ("exit_codes", "waits_s"),
    [([130], 0), ([4], 5), ([4, 4], 10), ([4, None, 7], 20), ([4] * 20, 600), ([4, 4, 130], 0), ([4, 4, 130, 4], 5)],
)
def test_an_item_in_trouble_waits_longer_each_time(exit_codes, waits_s):
    queue = queue_of(("a", "ada", 0))
    for code in exit_codes:
        queue = fold([started(2), ended(2, code)], onto=queue)

    ready = ready_at(queue.items[0])

    assert ready - NOW == timedelta(seconds=waits_s)
    assert sweeps(queue, most=1, now=ready) == ["a"]
    assert sweeps(queue, most=1, now=ready - timedelta(microseconds=1)) == []


def test_over_time_equal_owners_get_equal_shares():
    owners = {"ada": 30, "grace": 10, "joan": 10}
    queue = queue_of(*((f"{owner}{k}", owner, 0) for owner, count in owners.items() for k in range(count)))
    shares: Counter[str] = Counter()
    for _ in range(15):  # rounds of two sweeps that end together
        chosen = next_items(queue, now=NOW, most=2)
        for item in chosen:
            shares[item.owner or ""] += 1
            queue = fold([started(item.number)], onto=queue)
        for item in chosen:
            queue = fold([ended(item.number, 0)], onto=queue)

    assert max(shares.values()) - min(shares[owner] for owner in owners) <= 1
