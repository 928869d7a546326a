"""Outboxes in the store, one for each hook by its name. Any number of processes may change one at once."""

from collections.abc import Callable
from datetime import datetime

from vae_search.errors import CorruptStore, NotFound
from vae_search.services.payloads import Facts
from vae_search.services.webhooks.outbox import Delivery, Outbox
from vae_search.store.backends.base import Store
from vae_search.store.logs.snapshots import Snapshots

FOLDER = "webhooks"


class StoredOutbox:
    """The outbox of one hook, read and changed."""

    def __init__(self, store: Store, hook: str) -> None:
        self._states = Snapshots(store, f"{FOLDER}/{hook}")

    def read(self) -> Outbox | None:
        """The outbox as it is now; None if the hook is new.

        Raises:
            CorruptStore: It is damaged.
        """
        return self._read()[1]

    def change(self, change: Callable[[Outbox | None], Outbox]) -> Outbox:
        """Change the outbox, which is not written if the change is none. It is called again if another was first.

        Raises:
            CorruptStore: It is damaged.
            StoreUnavailable: It is changed or not; the same change may be made again.
        """
        while True:
            number, before = self._read()
            after = change(before)
            if after == before or self._states.add(after.to_record(), after=number):
                return after

    def _read(self) -> tuple[int, Outbox | None]:
        number, record = self._states.newest()
        found = Outbox.from_record(record, where=self._states.path(number)) if number else None
        return number, found


def hook_names(store: Store) -> list[str]:
    """The names of all hooks that the store knows, those included that are served no more."""
    return [*store.folders(FOLDER)]


def redeliver(store: Store, event: str, *, hook: str | None = None, actor: str | None, now: datetime) -> list[str]:
    """Send an event's deliveries again, those that wait or were given up, whoever serves the hooks.

    Args:
        hook: only to this one.

    Returns:
        The hooks that get it.

    Raises:
        NotFound: There is no such delivery.
    """
    asked = []
    for name in hook_names(store) if hook is None else [hook]:
        if name not in hook_names(store):
            break
        box = StoredOutbox(store, name)
        present = box.read()
        if present is not None and any(delivery.event == event for delivery in (*present.dead, *present.waiting)):
            box.change(lambda before: (before or Outbox()).redelivered(event, actor=actor, now=now))
            asked.append(name)
    if not asked:
        raise NotFound(
            f"webhooks: no delivery {event[:80]} waits or was given up"
            + ("." if hook is None else f" for hook {hook[:80]}.")
            + " `vae-search webhook list` lists them."
        )
    return asked


def outbox_facts(hook: str, box: Outbox) -> Facts:
    """A hook and its deliveries that have not arrived, without their bodies' events that have."""
    return {
        "hook": hook,
        "receiver": box.receiver,
        "delivered": box.delivered,
        "delivered_at": None if box.delivered_at is None else box.delivered_at.isoformat(),
        "waiting": [delivery_facts(each) for each in box.waiting],
        "dead": [delivery_facts(each) for each in box.dead],
        "dropped": box.dropped,
    }


def delivery_facts(delivery: Delivery) -> Facts:
    """A delivery that has not arrived."""
    return {
        "event": delivery.event,
        "type": delivery.type,
        "attempts": delivery.attempts,
        "due_at": delivery.due_at.isoformat(),
        "trouble": delivery.trouble,
        "asked_by": delivery.asked_by,
        "body": delivery.body,
    }


def webhooks_facts(store: Store) -> list[Facts]:
    """All hooks of a store with their deliveries; of a damaged outbox `damaged` says what is wrong."""
    found = []
    for name in hook_names(store):
        try:
            box, damaged = StoredOutbox(store, name).read(), None
        except CorruptStore as damage:
            box, damaged = Outbox(), str(damage)
        if box is not None:
            found.append(outbox_facts(name, box) | {"damaged": damaged})
    return found
