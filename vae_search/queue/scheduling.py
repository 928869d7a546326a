"""Scheduling of queued sweeps: a pure decision which items get a driver next."""

from collections import Counter
from datetime import datetime

from vae_search.queue.retries import wait_before_next
from vae_search.queue.state import ItemState, QueueItem, QueueState


def next_items(queue: QueueState, *, now: datetime, most: int) -> list[QueueItem]:
    """The items to start now, in their order.

    The highest priority goes first. Among equal ones the owner who has the fewest sweeps at work goes first, then the
    one who was served longest ago, so that one person's hundred sweeps do not keep another's single one waiting; then
    the order of the queue.

    Args:
        most: drivers at once, those at work included.
    """
    at_work = Counter(item.owner for item in queue.items if item.has_driver)
    served = _last_served(queue)
    waiting = [item for item in queue.items if item.state is ItemState.WAITING and ready_at(item) <= now]
    chosen: list[QueueItem] = []
    while waiting and at_work.total() < most:
        best = min(waiting, key=lambda item: (-item.priority, at_work[item.owner], served[item.owner]))
        waiting.remove(best)
        chosen.append(best)
        at_work[best.owner] += 1
        served[best.owner] = queue.entries + len(chosen)
    return chosen


def _last_served(queue: QueueState) -> Counter[str | None]:
    """Number of the log's entry by which each owner's last driver was started; 0 for one who had none yet."""
    served: Counter[str | None] = Counter()
    for item in queue.items:
        for attempt in item.attempts[-1:]:
            served[item.owner] = max(served[item.owner], attempt.entry)
    return served


def ready_at(item: QueueItem) -> datetime:
    """The time from which on the item may have its next driver."""
    if not item.attempts or (last := item.attempts[-1].ended_at) is None:
        return item.submitted_at
    return last + wait_before_next([attempt.exit_code for attempt in item.attempts])
