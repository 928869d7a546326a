"""Outbox of a hook: what it was told, what waits to be told, and the dead letters. Pure, without files or clocks.

It stays small: at most so many deliveries wait, and the logs are read no further meanwhile; of those that were given
up, the dead letters, the newest are kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

from vae_search.core.text import printable
from vae_search.errors import CorruptStore
from vae_search.services.webhooks.events import without_incarnation
from vae_search.services.webhooks.sources import Look, position_in

MOST_WAITING = 200
MOST_DEAD = 100
MOST_ATTEMPTS = 10  # over one and a half days
FIRST_WAIT_S, LONGEST_WAIT_S, FACTOR = 5.0, 43_200.0, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one hook, until it is delivered.

    Args:
        event: id.
        body: exactly as it is sent, each time.
        due_at: of the next attempt, UTC.
        attempts: since it was written, or sent again by somebody.
        trouble: of the last attempt.
        asked_by: who has asked that it be sent again.
    """

    event: str
    type: str
    body: str
    due_at: datetime
    attempts: int = 0
    trouble: str | None = None
    asked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """State of one hook.

    Args:
        receiver: scheme, host and port that it was last sent to.
        positions: of each log, the entries that were taken in.
        waiting: in the order of their events.
        dead: given up, the newest last.
        dropped: deliveries that were given up and are not kept any more.
        delivered: deliveries.
    """

    receiver: str = ""
    positions: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[Delivery, ...] = ()
    dead: tuple[Delivery, ...] = ()
    dropped: int = 0
    delivered: int = 0
    delivered_at: datetime | None = None

    @classmethod
    def opened(cls, look: Look, *, receiver: str) -> "Outbox":
        """The outbox of a new hook: it is told of what happens from now on."""
        return cls(receiver=receiver, positions=look.lengths)

    def taken_in(self, look: Look, *, wanted: frozenset[str], receiver: str, now: datetime) -> "Outbox":
        """The outbox with deliveries on what has happened since; itself if nothing has that anybody could be told."""
        positions, waiting = _of_present(self.positions, look.lengths), [*self.waiting]
        happened = False
        for log, length in look.lengths.items():
            for event in look.events.get(log, ()):
                if event.number <= positions.get(log, 0):
                    continue
                if len(waiting) >= MOST_WAITING:
                    break
                happened = True
                positions[log] = event.number
                if event.type in wanted:
                    waiting.append(Delivery(event=event.id, type=event.type, body=event.body(), due_at=now))
            else:
                positions[log] = length
        has_other_logs = not self.positions.keys() <= positions.keys()
        if not happened and not has_other_logs and receiver == self.receiver:
            return self  # entries of which nobody is told need no new state
        return replace(self, positions=positions, waiting=tuple(waiting), receiver=receiver)

    def next_due(self, now: datetime) -> Delivery | None:
        """The delivery whose turn it is, the one that is due for longest."""
        return min((each for each in self.waiting if each.due_at <= now), key=lambda each: each.due_at, default=None)

    def after_delivery(self, event: str, *, now: datetime) -> "Outbox":
        """The outbox after a delivery has arrived."""
        rest = tuple(each for each in self.waiting if each.event != event)
        if len(rest) == len(self.waiting):
            return self
        return replace(self, waiting=rest, delivered=self.delivered + 1, delivered_at=now)

    def after_failure(self, event: str, trouble: str, *, attempts: int, now: datetime) -> "Outbox":
        """The outbox after an attempt has failed, the one that follows `attempts` earlier ones."""
        delivery = next((each for each in self.waiting if each.event == event and each.attempts == attempts), None)
        if delivery is None:
            return self
        failed = replace(delivery, attempts=attempts + 1, trouble=printable(trouble, 300))
        if failed.attempts < MOST_ATTEMPTS:
            failed = replace(failed, due_at=now + wait_after(failed.attempts))
            return replace(self, waiting=tuple(failed if each is delivery else each for each in self.waiting))
        dead = (*self.dead, failed)
        return replace(
            self,
            waiting=tuple(each for each in self.waiting if each is not delivery),
            dead=dead[-MOST_DEAD:],
            dropped=self.dropped + max(0, len(dead) - MOST_DEAD),
        )

    def redelivered(self, event: str, *, actor: str | None, now: datetime) -> "Outbox":
        """The outbox with a delivery that is to be sent again at once; itself if it has none of this event."""
        found = [each for each in (*self.dead, *self.waiting) if each.event == event]
        if not found:
            return self
        again = replace(found[0], attempts=0, due_at=now, asked_by=actor)
        waiting = [each for each in self.waiting if each.event != event]
        return replace(self, waiting=(again, *waiting), dead=tuple(each for each in self.dead if each.event != event))

    def to_record(self) -> dict[str, object]:
        """The outbox in plain values."""
        return asdict(self) | {
            "waiting": [_delivery_record(each) for each in self.waiting],
            "dead": [_delivery_record(each) for each in self.dead],
            "delivered_at": None if self.delivered_at is None else self.delivered_at.isoformat(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, where: str) -> "Outbox":
        """The outbox of `to_record`.

        Raises:
            CorruptStore: It is none that this program knows.
        """
        try:
            at = record["delivered_at"]
            known: dict[str, Any] = {
                **{each.name: record[each.name] for each in fields(cls)},
                "waiting": _deliveries(record["waiting"]),
                "dead": _deliveries(record["dead"]),
                "delivered_at": None if at is None else datetime.fromisoformat(at),
            }
            return cls(**known)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStore(
                f"is no outbox of this program: {error}.", path=where, advice="Install a newer vae-search."
            ) from error


def wait_after(attempts: int) -> timedelta:
    """The wait after so many failed attempts: four times as long each time."""
    return timedelta(seconds=min(LONGEST_WAIT_S, FIRST_WAIT_S * FACTOR ** (attempts - 1)))


def common_positions(outboxes: Sequence[Outbox]) -> dict[str, int]:
    """Of each log, the entries that all of these have taken in."""
    named = {log for each in outboxes for log in each.positions}
    return {log: min(position_in(each.positions, log) for each in outboxes) for log in named}


def _of_present(positions: Mapping[str, int], logs: Collection[str]) -> dict[str, int]:
    """The positions in the logs that are there, under their names of today; those in logs of removed sweeps go.

    Args:
        logs: of these, only sweeps that have a log of another incarnation now are known to be removed.
    """
    present = {former: log for log in logs if (former := without_incarnation(log)) != log}
    kept: dict[str, int] = {}
    for log, position in positions.items():
        former = without_incarnation(log)
        today = present.get(former, log)
        if log in (today, former):
            kept[today] = max(position, kept.get(today, 0))
    return kept


def _delivery_record(delivery: Delivery) -> dict[str, object]:
    return asdict(delivery) | {"due_at": delivery.due_at.isoformat()}


def _deliveries(records: Sequence[Mapping[str, Any]]) -> tuple[Delivery, ...]:
    return tuple(Delivery(**{**each, "due_at": datetime.fromisoformat(each["due_at"])}) for each in records)
