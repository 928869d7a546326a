"""Entries of the queue's log: orders of people, and what became of the drivers that worked them off."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from vae_search.store.logs.log_records import parsed

PRIORITIES = range(-100, 101)


class QueueAction(StrEnum):
    """Action that an entry records."""

    SUBMIT = "submit"  # a sweep is to be run; the entry's number is the item's
    PRIORITIZE = "prioritize"  # it has another priority from here on
    MOVE = "move"  # it stands before another one, or last
    HOLD = "hold"  # it is not to run for now; a driver at work on it is asked to stop
    RELEASE = "release"  # it may run again, whatever kept it
    CANCEL = "cancel"  # it is never to run again; what it has stored stays
    LEAD = "lead"  # a dispatcher works the queue off from here on; notes of the one before it do not count any more
    START = "start"  # the dispatcher is about to start a driver for it
    END = "end"  # that driver has ended, or is lost


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """One line of the queue's history.

    Args:
        at: UTC.
        nonce: random, so that two writers never write equal entries.
        actor: name of the token that gave the order; None for the dispatcher's own notes.
        item: what it is about, by the number of its `SUBMIT`; None in a `SUBMIT` itself, and in a `LEAD`.
        sweep: of a `SUBMIT`: the name in the spec.
        spec: of a `SUBMIT`: the spec's text.
        idempotency_key: of a `SUBMIT`: the sender's own mark; the same one again is the same order.
        priority: of a `SUBMIT` or `PRIORITIZE`; higher ones run first.
        before: of a `MOVE`: the item that it is to stand before; None for the end.
        leader: of a `START` or `END`: the dispatcher's `LEAD`, by its number.
        attempt: of an `END`: the driver's `START`, by its number; None in entries of older versions.
        process: of a `LEAD`: the dispatcher's, in plain values.
        exit_code: of an `END`: the driver's, as the command line has it; None if it was lost.
        reason: of an `END`: the driver's last words; of an order: why, in the actor's words.

    Raises:
        ValueError: A field that the action needs is missing, or one is out of its range.
    """

    action: QueueAction
    at: datetime
    nonce: str
    actor: str | None = None
    item: int | None = None
    sweep: str | None = None
    spec: str | None = None
    idempotency_key: str | None = None
    priority: int | None = None
    before: int | None = None
    leader: int | None = None
    attempt: int | None = None
    process: Mapping[str, Any] | None = None
    exit_code: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        is_submit = self.action is QueueAction.SUBMIT
        if (self.action in (QueueAction.SUBMIT, QueueAction.LEAD)) != (self.item is None):
            raise ValueError(f"{self.action}: `item` must be given of what is in the queue, but got {self.item}")
        if (self.action in (QueueAction.START, QueueAction.END)) != (self.leader is not None):
            raise ValueError(f"{self.action}: `leader` must be given of a dispatcher's notes, but got {self.leader}")
        if self.attempt is not None and self.action is not QueueAction.END:
            raise ValueError(f"{self.action}: `attempt` goes with end alone, but got {self.attempt}")
        if (self.action is QueueAction.LEAD) != (self.process is not None):
            raise ValueError(f"{self.action}: `process` must be given of a dispatcher, but got {self.process}")
        if is_submit and (self.sweep is None or self.spec is None):
            raise ValueError("submit: `sweep` and `spec` must be given")
        needs_priority = self.action in (QueueAction.SUBMIT, QueueAction.PRIORITIZE)
        if needs_priority != (self.priority is not None):
            raise ValueError(f"{self.action}: `priority` goes with submit and prioritize, but got {self.priority}")
        if self.priority is not None and self.priority not in PRIORITIES:
            raise ValueError(f"`{PRIORITIES[0]} <= priority <= {PRIORITIES[-1]}` must hold, but got {self.priority}")

    def to_record(self) -> dict[str, object]:
        """The entry as a record of the log, without the fields that it does not have."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return given | {"at": self.at.isoformat()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, where: str) -> "QueueEntry":
        """The entry of `to_record`.

        Raises:
            CorruptStore: It is none that this program knows.
        """
        return parsed(cls, record, actions=QueueAction, what="entry", where=where)
