"""Facts of the queue: its items in their order, for programs."""

from vae_search.queue.state import QueueItem, QueueState
from vae_search.services.payloads import Facts


def queue_facts(state: QueueState) -> Facts:
    """The queue: items that are not over, in the order in which they stand, and whether a dispatcher has led."""
    return {
        "items": [item_facts(item) for item in state.items],
        "dispatcher": None if state.leader is None else state.leader.process.host,
        "entries": state.entries,
    }


def item_facts(item: QueueItem) -> Facts:
    """One item, without its spec."""
    last = item.attempts[-1] if item.attempts else None
    return {
        "item": item.number,
        "sweep": item.sweep,
        "state": item.state.value,
        "wanted": item.wanted.value,
        "owner": item.owner,
        "priority": item.priority,
        "submitted_at": item.submitted_at.isoformat(),
        "attempts": len(item.attempts),
        "why": item.why,
        "parked": item.parked,
        "last_attempt": None
        if last is None
        else {
            "began_at": last.began_at.isoformat(),
            "ended_at": None if last.ended_at is None else last.ended_at.isoformat(),
            "exit_code": last.exit_code,
            "reason": last.reason,
        },
    }
