"""State of the queue: a fold over its log, without files or clocks."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from vae_search.errors import CorruptStore
from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.retries import Fate, fate_of
from vae_search.store.leases.processes import Process


class ItemState(StrEnum):
    """State of a queued sweep.

    waiting ⇄ held         a person's HOLD and RELEASE
    waiting ──► running    the dispatcher has started a driver
    running ──► waiting    that driver was lost, was stopped, or met trouble that passes
            ──► parked     it ended for a reason that another try would meet again; RELEASE tries all the same
            ──► done
    any but done ──► cancelled
    """

    WAITING = "waiting"
    HELD = "held"
    RUNNING = "running"
    PARKED = "parked"
    DONE = "done"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True if nothing will ever change it."""
        return self in (ItemState.DONE, ItemState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One driver's work on an item."""

    entry: int
    """number of its `START` in the log"""
    began_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    """None while it runs, and if it was lost"""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """One sweep in the queue."""

    number: int
    sweep: str
    spec: str
    owner: str | None
    submitted_at: datetime
    priority: int
    idempotency_key: str | None = None
    wanted: ItemState = ItemState.WAITING
    """WAITING, HELD or CANCELLED: what people want"""
    why: str | None = None
    """why people want it so, in their words"""
    parked: str | None = None
    """why no further attempt is made"""
    is_done: bool = False
    attempts: tuple[Attempt, ...] = ()

    @property
    def has_driver(self) -> bool:
        """True from a driver's start to its end, as far as the log tells."""
        return bool(self.attempts) and self.attempts[-1].ended_at is None

    @property
    def attempt(self) -> int | None:
        """Number of the last attempt's `START` in the log; None before the first."""
        return self.attempts[-1].entry if self.attempts else None

    @property
    def state(self) -> ItemState:
        """State in one word; a driver that is being stopped still runs."""
        if self.has_driver:
            return ItemState.RUNNING
        if self.is_done:
            return ItemState.DONE
        if self.wanted is not ItemState.WAITING:
            return self.wanted
        return ItemState.WAITING if self.parked is None else ItemState.PARKED

    @property
    def is_unwanted(self) -> bool:
        """True if a driver at work on it is to be stopped."""
        return self.has_driver and self.wanted is not ItemState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The dispatcher that works the queue off."""

    number: int
    """of its `LEAD` in the log"""
    process: Process


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The items in the order in which they stand; what runs first is `scheduling`'s to say."""

    items: tuple[QueueItem, ...] = ()
    entries: int = 0
    """how many of the log have been taken in"""
    leader: Leader | None = None

    def item(self, number: int) -> QueueItem | None:
        """The item of a number, if there is one."""
        return next((item for item in self.items if item.number == number), None)

    def of_sweep(self, sweep: str) -> QueueItem | None:
        """The item of a sweep that is not over, if there is one."""
        return next((item for item in self.items if item.sweep == sweep and not item.state.is_final), None)

    def newest_of(self, sweep: str) -> QueueItem | None:
        """The last item of a sweep, over or not; whoever submitted it owns the sweep."""
        return max((item for item in self.items if item.sweep == sweep), key=lambda item: item.number, default=None)

    def submitted_as(self, idempotency_key: str, *, actor: str | None) -> QueueItem | None:
        """The item that the actor has submitted with this key, if there is one."""
        found = (i for i in self.items if i.idempotency_key == idempotency_key and i.owner == actor)
        return next(found, None)


def fold(entries: Iterable[QueueEntry], *, onto: QueueState | None = None) -> QueueState:
    """The queue after `entries`.

    Args:
        onto: the queue before them.

    Raises:
        CorruptStore: An entry contradicts those before it.
    """
    state = QueueState() if onto is None else onto
    for entry in entries:
        state = _after(state, entry)
    return state


def _after(state: QueueState, entry: QueueEntry) -> QueueState:
    number = state.entries + 1
    if entry.action is QueueAction.SUBMIT:
        item = QueueItem(
            number=number,
            sweep=entry.sweep or "",
            spec=entry.spec or "",
            owner=entry.actor,
            submitted_at=entry.at,
            priority=entry.priority or 0,
            idempotency_key=entry.idempotency_key,
        )
        if state.of_sweep(item.sweep) is not None:
            raise CorruptStore(f"queue: entry {number} submits sweep {item.sweep}, which is in the queue already.")
        return replace(state, items=(*state.items, item), entries=number)
    if entry.action is QueueAction.LEAD:
        leader = Leader(number=number, process=Process(**(entry.process or {})))
        return replace(state, leader=leader, entries=number)
    if entry.leader is not None and (state.leader is None or entry.leader != state.leader.number):
        raise CorruptStore(f"queue: entry {number} is a note of dispatcher {entry.leader}, which another has replaced.")
    present = state.item(entry.item or 0)
    if present is None or present.state.is_final:
        raise CorruptStore(f"queue: entry {number} is about item {entry.item}, which is not in the queue.")
    if entry.action is QueueAction.MOVE:
        return replace(state, items=_moved(state.items, present, before=entry.before), entries=number)
    changed = _changed(present, entry, number)
    return replace(state, items=tuple(changed if i is present else i for i in state.items), entries=number)


def _changed(item: QueueItem, entry: QueueEntry, number: int) -> QueueItem:
    match entry.action:
        case QueueAction.PRIORITIZE:
            return replace(item, priority=entry.priority or 0)
        case QueueAction.HOLD:
            return replace(item, wanted=ItemState.HELD, why=entry.reason)
        case QueueAction.RELEASE:
            return replace(item, wanted=ItemState.WAITING, why=None, parked=None)
        case QueueAction.CANCEL:
            return replace(item, wanted=ItemState.CANCELLED, why=entry.reason)
        case QueueAction.START:
            if item.has_driver:
                raise CorruptStore(f"queue: entry {number} starts item {item.number}, which has a driver.")
            return replace(item, attempts=(*item.attempts, Attempt(entry=number, began_at=entry.at)))
        case _:
            if not item.has_driver:
                raise CorruptStore(f"queue: entry {number} ends item {item.number}, which has no driver.")
            *before, last = item.attempts
            if entry.attempt not in (None, last.entry):
                raise CorruptStore(f"queue: entry {number} ends attempt {entry.attempt}, which another has followed.")
            last = replace(last, ended_at=entry.at, exit_code=entry.exit_code, reason=entry.reason)
            attempts = (*before, last)
            fate = fate_of([attempt.exit_code for attempt in attempts])
            parked = (last.reason or f"exit code {last.exit_code}") if fate is Fate.PARK else None
            return replace(item, attempts=attempts, is_done=fate is Fate.DONE, parked=parked)


def _moved(items: tuple[QueueItem, ...], item: QueueItem, *, before: int | None) -> tuple[QueueItem, ...]:
    """The items with one in another place; last if the one that it is to stand before has gone."""
    rest = [each for each in items if each is not item]
    at = next((position for position, each in enumerate(rest) if each.number == before), len(rest))
    return (*rest[:at], item, *rest[at:])
