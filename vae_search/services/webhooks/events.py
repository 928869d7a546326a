"""Events that webhooks tell of. Each belongs to one entry of a log in the store, and its id follows from that entry.

So whoever tells an event again, tells it by the same id.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vae_search.core.text import printable
from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.state import QueueItem
from vae_search.registry.log import Entry

QUEUE = "queue"
SWEEP_FINISHED, SWEEP_FAILED = "sweep.finished", "sweep.failed"
MODEL_REFUSED = "model.refused"
# By the action of an entry in a model's log. A refusal has more to it: see `of_model`.
MODEL_EVENTS: Mapping[str, str] = {
    "promote": "model.promoted",
    "wait": "model.waiting",
    "approve": "model.promoted",
    "reject": MODEL_REFUSED,
    "rollback": "model.rolled_back",
}
EVENT_TYPES: Mapping[str, str] = {
    SWEEP_FINISHED: "A driver has left a sweep with nothing more to do.",
    SWEEP_FAILED: "A queued sweep was parked: another try would meet the same.",
    "model.waiting": "A candidate has passed and waits for somebody's approval.",
    "model.promoted": "A version became champion.",
    MODEL_REFUSED: "A candidate was refused, by its verdicts or by somebody.",
    "model.rolled_back": "An older version is champion again.",
}
MOST_REASONS = 10
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Args:
        log: `queue`, `model/NAME`, or that of a sweep's leases (`sweep_log`).
        number: of the entry or lease.
        id: the same for ever.
        at: UTC.
        data: plain values.
    """

    log: str
    number: int
    id: str
    type: str
    at: datetime
    data: Mapping[str, object]

    def body(self) -> str:
        """The event as it is sent, in the form that Standard Webhooks recommends."""
        told = {"type": self.type, "timestamp": self.at.isoformat(), "data": self.data}
        return json.dumps(told, ensure_ascii=False, allow_nan=False)


def sweep_log(sweep: str, incarnation: str | None) -> str:
    """Name of the log that a sweep's leases are; another sweep of its name has another."""
    return f"sweep/{sweep}" + ("" if incarnation is None else f"/{incarnation}")


def without_incarnation(log: str) -> str:
    """Name of a log as it was before sweeps of one name had different ones; the same of other logs."""
    return "/".join(log.split("/")[:2])


def event_id(log: str, number: int, nonce: object) -> str:
    """Id of the event of an entry; its nonce tells it from the entries of all other stores."""
    return "evt_" + hashlib.sha256(f"{log} {number} {nonce}".encode()).hexdigest()[:32]


def of_queue(number: int, entry: QueueEntry, item: QueueItem | None) -> Event | None:
    """Event of an entry of the queue's log; `item` is how it stands after the entry."""
    if entry.action is not QueueAction.END or item is None or item.parked is None:
        return None
    return Event(
        log=QUEUE,
        number=number,
        id=event_id(QUEUE, number, entry.nonce),
        type=SWEEP_FAILED,
        at=entry.at,
        data={
            "sweep": item.sweep,
            "item": item.number,
            "owner": item.owner,
            "reason": _short(item.parked),
            "exit_code": entry.exit_code,
            "attempts": len(item.attempts),
        },
    )


def of_model(model: str, entries: Sequence[Entry]) -> Iterator[Event]:
    """Events of a model's log, from its first entry on."""
    waiting: set[int | None] = set()
    for number, entry in enumerate(entries, start=1):
        action = entry.action.value
        kind = MODEL_EVENTS.get(action)
        # Of refusals, only those of a candidate that was judged or waited; else just a number was given up.
        is_told = kind != MODEL_REFUSED or bool(entry.verdicts) or entry.version in waiting
        if kind is not None and is_told:
            yield _of_entry(model, number, entry, kind)
        if action == "wait":
            waiting.add(entry.version)
        else:
            waiting.discard(entry.version)


def _of_entry(model: str, number: int, entry: Entry, kind: str) -> Event:
    log = f"model/{model}"
    return Event(
        log=log,
        number=number,
        id=event_id(log, number, entry.nonce),
        type=kind,
        at=entry.at,
        data={
            "model": model,
            "entry": number,
            "version": entry.version,
            "champion_before": entry.champion,
            "candidate": entry.candidate,
            "actor": entry.actor,
            "reasons": [_short(reason) for reason in entry.reasons[:MOST_REASONS]],
        },
    )


def of_sweep(
    log: str, lease: int, nonce: object, *, at: datetime, facts: Mapping[str, Any], owner: str | None
) -> Event:
    """Event of a sweep that the driver with `lease` has left finished.

    Args:
        log: of `sweep_log`.
        facts: of `status_facts`.
        owner: of its item in the queue; None if it was never there.
    """
    kept = ("sweep", "trials", "finished", "complete", "pruned", "failed", "best_trial", "best_objective", "cpu_s")
    return Event(
        log=log,
        number=lease,
        id=event_id(without_incarnation(log), lease, nonce),
        type=SWEEP_FINISHED,
        at=at,
        data={name: facts[name] for name in kept} | {"owner": owner},
    )


def _short(text: str) -> str:
    return "\n".join(printable(line, LONGEST_REASON) for line in text.splitlines()[:3])
