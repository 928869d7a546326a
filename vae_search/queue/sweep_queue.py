"""The queue of a store: orders are taken in, and its state read. Any number of processes may do so at once.

An entry is added only if the log is still as it was when the entry was decided on; whoever comes too late reads on and
decides again. One of them always succeeds.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from vae_search.errors import Conflict, LeaseLost, NotFound
from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.state import ItemState, QueueItem, QueueState, fold
from vae_search.store.backends.base import Store
from vae_search.store.leases.processes import Process
from vae_search.store.logs.chained_log import ChainedLog

FOLDER = "queue/log"


class SweepQueue:
    """The queue's log, read and added to.

    Args:
        now: time of day, UTC.
    """

    def __init__(
        self, store: Store, *, now: Callable[[], datetime], nonce: Callable[[], str] = lambda: secrets.token_hex(16)
    ) -> None:
        self._log = ChainedLog(store, FOLDER)
        self._now = now
        self._nonce = nonce
        self._state = QueueState()

    def state(self) -> QueueState:
        """The queue as its log has it now.

        Raises:
            CorruptStore: The log is damaged.
        """
        self._log.follow(self._take)
        return self._state

    def submit(
        self, spec: str, *, sweep: str, actor: str | None, priority: int = 0, idempotency_key: str | None = None
    ) -> QueueItem:
        """Queue a sweep; the same order again, by its key, is the same item.

        Args:
            spec: its text.
            sweep: the name in it.

        Raises:
            Conflict: Another item has this name and is not over.
            StoreUnavailable: It is not queued; or it is, and the same call with the same key says so.
        """
        while True:
            state = self.state()
            if idempotency_key is not None:
                earlier = state.submitted_as(idempotency_key, actor=actor)
                if earlier is not None:
                    if (earlier.sweep, earlier.spec) != (sweep, spec):
                        raise Conflict(f"idempotency key {idempotency_key}: was used for another order.")
                    return earlier
            present = state.of_sweep(sweep)
            if present is not None:
                raise Conflict(
                    f"sweep {sweep}: is in the queue already, as item {present.number} ({present.state}).\n"
                    "Give the spec another name, or cancel that item."
                )
            entry = self._entry(
                QueueAction.SUBMIT,
                actor=actor,
                sweep=sweep,
                spec=spec,
                priority=priority,
                idempotency_key=idempotency_key,
            )
            if self._add(entry, seen=state):
                return self.state().items[-1]

    def order(self, action: QueueAction, number: int, *, actor: str | None, **what: object) -> QueueItem:
        """Give an order about an item; `what` are further fields of a `QueueEntry`. The item afterwards.

        Raises:
            NotFound: There is no such item, or no item that it could stand before.
            Conflict: It is over.
        """
        while True:
            state = self.state()
            item = state.item(number)
            if item is None:
                raise NotFound(f"queue: there is no item {number}.")
            if item.state.is_final:
                raise Conflict(f"item {number} (sweep {item.sweep}): is {item.state}, so nothing can be ordered.")
            before = what.get("before")
            if isinstance(before, int) and (before == number or state.item(before) is None):
                raise NotFound(f"queue: there is no other item {before} that item {number} could stand before.")
            if self._add(self._entry(action, actor=actor, item=number, **what), seen=state):
                changed = self.state().item(number)
                return item if changed is None else changed

    def lead(self, process: Process, *, seen: QueueState) -> int | None:
        """Make a process the dispatcher, decided on at `seen`; its number, or None if the log has grown since."""
        entry = self._entry(QueueAction.LEAD, process=asdict(process))
        return seen.entries + 1 if self._add(entry, seen=seen) else None

    def note(self, action: QueueAction, number: int, *, leader: int, **what: object) -> QueueState:
        """Note what the dispatcher `leader` does with an item; the queue afterwards.

        Raises:
            LeaseLost: Another dispatcher has taken its place; nothing was noted.
            Conflict: The item does not stand so that this could be: it was cancelled meanwhile, for example, or the
                end is of an attempt that another has followed.
        """
        while True:
            state = self.state()
            if state.leader is None or state.leader.number != leader:
                raise LeaseLost(f"queue: another dispatcher has taken the place of dispatcher {leader}.")
            item = state.item(number)
            if item is None or not _may_be_noted(item, action, attempt=what.get("attempt")):
                raise Conflict(f"queue: item {number} is {'gone' if item is None else item.state}.")
            if self._add(self._entry(action, item=number, leader=leader, **what), seen=state):
                return self.state()

    def _take(self, first: int, records: Sequence[Mapping[str, object]]) -> None:
        numbered = enumerate(records, start=first)
        entries = [QueueEntry.from_record(record, where=self._log.path(number)) for number, record in numbered]
        self._state = fold(entries, onto=self._state)

    def _entry(self, action: QueueAction, **what: object) -> QueueEntry:
        return QueueEntry(action=action, at=self._now(), nonce=self._nonce(), **what)  # type: ignore[arg-type]

    def _add(self, entry: QueueEntry, *, seen: QueueState) -> bool:
        fold([entry], onto=seen)  # an entry that contradicts the log must not get into it
        return self._log.append(entry.to_record(), after=seen.entries)


def _may_be_noted(item: QueueItem, action: QueueAction, *, attempt: object) -> bool:
    """True if the item stands so that a dispatcher can start it, or end this attempt."""
    if action is QueueAction.END:
        return item.has_driver and attempt in (None, item.attempt)
    return item.state is ItemState.WAITING
