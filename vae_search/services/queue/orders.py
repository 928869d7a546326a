"""Orders to the queue of a store: submit a sweep, list what waits, move, hold, release or cancel an item."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from vae_search.errors import InvalidSpec, NotFound
from vae_search.queue.entries import PRIORITIES, QueueAction
from vae_search.queue.leadership import may_be_led
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.services import sweeps
from vae_search.services.browsing.queue_facts import item_facts, queue_facts
from vae_search.services.checks.sweep_checks import check_limits
from vae_search.services.payloads import Facts
from vae_search.spec.from_trial import portable_text
from vae_search.store.backends.base import Store
from vae_search.store.sweeps import beginning, sweep_record

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SpecDocument, SweepSpec


def check_may_run(store: Store, spec: "SweepSpec") -> None:
    """Refuse a spec that no driver could run, before it is queued.

    Raises:
        InvalidSpec: It limits a gate that does not exist.
        Conflict: The store holds another sweep of this name.
    """
    check_limits(spec)
    existing = sweep_record.find(store, spec.name)
    if existing is not None:
        beginning.check_same(existing, spec.with_bound(existing.spec))


def add(
    store: Store, document: "SpecDocument", *, actor: str, priority: int, now: Callable[[], datetime]
) -> tuple[Facts, bool]:
    """Queue a sweep: its item, and whether a dispatcher may be at work.

    Raises:
        InvalidSpec, Conflict: As for `check_may_run` and `SweepQueue.submit`.
    """
    _check_priority(priority)
    check_may_run(store, document.spec)
    queue = SweepQueue(store, now=now)
    item = queue.submit(portable_text(document), sweep=document.spec.name, actor=actor, priority=priority)
    return item_facts(item), may_be_led(store, queue.state())


def listing(store: Store, *, everything: bool, now: Callable[[], datetime]) -> Facts:
    """The queue in its order; its dispatcher is None if certainly nobody works it off.

    Args:
        everything: also what is done or cancelled.
    """
    state = SweepQueue(store, now=now).state()
    if not everything:
        state = replace(state, items=tuple(item for item in state.items if not item.state.is_final))
    facts = queue_facts(state)
    return facts if may_be_led(store, state) else facts | {"dispatcher": None}


def order(store: Store, action: str, number: int, *, actor: str, now: Callable[[], datetime], **what: object) -> Facts:
    """Give an order about an item; the item afterwards.

    Args:
        action: one of `QueueAction`.
        what: further fields of a `QueueEntry`.

    Raises:
        InvalidSpec: The priority is none.
        NotFound, Conflict: As for `SweepQueue.order`.
    """
    priority = what.get("priority")
    if isinstance(priority, int):
        _check_priority(priority)
    return item_facts(SweepQueue(store, now=now).order(QueueAction(action), number, actor=actor, **what))


def stop(store: Store, queue: SweepQueue, sweep: str, *, actor: str) -> Facts | None:
    """Stop a sweep, whoever runs it. If it is in the queue, which would start it again, its item is held, and given.

    Raises:
        NotFound: It is not in the queue, and there is no such sweep, or nobody runs it.
    """
    item = queue.state().of_sweep(sweep)
    if item is None:
        sweeps.stop(store, sweep)
        return None
    held = queue.order(QueueAction.HOLD, item.number, actor=actor, reason="stopped")
    if not held.has_driver:  # somebody may run it by hand
        with suppress(NotFound):
            sweeps.stop(store, sweep)
    return item_facts(held)


def _check_priority(priority: int) -> None:
    if priority not in PRIORITIES:
        raise InvalidSpec(f"priority: must be from {PRIORITIES[0]} to {PRIORITIES[-1]}, but got {priority}.")
