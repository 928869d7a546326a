"""Sources of events: the queue's log, the models' logs, and the leases of sweeps. Logs grow only; each is read once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vae_search.errors import CorruptStore, NotFound
from vae_search.queue.entries import QueueEntry
from vae_search.queue.state import QueueState, fold
from vae_search.queue.sweep_queue import FOLDER
from vae_search.registry.log import ModelLog, model_names
from vae_search.services.browsing.plain_values import plain
from vae_search.services.payloads import status_facts
from vae_search.services.sweep_status import status
from vae_search.services.webhooks.events import (
    QUEUE,
    Event,
    of_model,
    of_queue,
    of_sweep,
    sweep_log,
    without_incarnation,
)
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.leases.records import Purpose, has_ended, newest_lease, read_holder
from vae_search.store.logs.chained_log import ChainedLog
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.sweep_record import read_stored

logger = logging.getLogger(__name__)

IDLE_SWEEPS = 10  # looked at in each look, of those that nobody runs; all others each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Logs of the store at one time.

    Args:
        lengths: entries of each log, or the newest lease that has ended.
        events: of each log, in its order; only of those entries that were asked for.
    """

    lengths: Mapping[str, int]
    events: Mapping[str, tuple[Event, ...]]


def position_in(positions: Mapping[str, int], log: str) -> int:
    """The entries of a log that were taken in, by positions that may be of an older version; 0 if it is not named."""
    return positions.get(log, positions.get(without_incarnation(log), 0))


class Sources:
    """Reader of the logs; for one thread."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._queue = _QueueEvents(store)
        self._models: dict[str, ModelLog] = {}
        self._leases: dict[str, int] = {}  # of each sweep, the newest that has ended
        self._logs: dict[str, str] = {}  # of each sweep that is there
        self._running: set[str] = set()
        self._next_idle = 0

    def look(self, after: Mapping[str, int] | None) -> Look:
        """Look at what there is. A log that is damaged is told, and left for another look.

        Args:
            after: of each log, the entries that everybody has taken in, 0 of one that is not named; None: no events are
                wanted.

        Raises:
            StoreUnavailable: Try again later.
        """
        lengths: dict[str, int] = {}
        events: dict[str, tuple[Event, ...]] = {}
        try:
            lengths[QUEUE], events[QUEUE] = self._queue.look()
        except CorruptStore as error:
            logger.warning("webhooks: %s", error)
        for model in model_names(self._store):
            log = f"model/{model}"
            try:
                entries = self._models.setdefault(model, ModelLog(self._store, model)).entries()
                lengths[log], events[log] = len(entries), tuple(of_model(model, entries))
            except CorruptStore as error:
                logger.warning("webhooks: %s", error)
        self._look_at_leases()
        for sweep, log in self._logs.items():
            lease = self._leases[sweep]
            try:
                if after is not None and lease > position_in(after, log):
                    events[log] = self._end_of(sweep, position_in(after, log), lease)
                lengths[log] = lease
            except CorruptStore as error:
                logger.warning("webhooks: %s", error)
        return Look(lengths=lengths, events=events)

    def _look_at_leases(self) -> None:
        """Look for leases that have ended: of sweeps that run or are new each time, of the others in turn."""
        names = [name for name in self._store.folders(store_paths.SWEEPS) if store_paths.is_sweep_name(name)]
        idle = [name for name in names if name in self._leases and name not in self._running]
        begin = self._next_idle if self._next_idle < len(idle) else 0
        self._next_idle = begin + IDLE_SWEEPS
        left_alone = {*idle[:begin], *idle[self._next_idle :]}
        for name in names:
            if name in left_alone:
                continue
            newest = newest_lease(self._store, name)
            has_driver = newest > 0 and not has_ended(self._store, name, newest)
            (self._running.add if has_driver else self._running.discard)(name)
            self._leases[name] = newest - has_driver
            self._look_for_log(name)
        for gone in self._leases.keys() - {*names}:
            del self._leases[gone]
            self._logs.pop(gone, None)
            self._running.discard(gone)

    def _look_for_log(self, sweep: str) -> None:
        """Find out whether the sweep is there, and which of its name it is."""
        try:
            self._logs[sweep] = sweep_log(sweep, read_stored(self._store, sweep).incarnation)
        except NotFound:  # not yet, or not any more
            self._logs.pop(sweep, None)
        except CorruptStore as error:
            self._logs.pop(sweep, None)
            logger.warning("webhooks: %s", error)

    def _end_of(self, sweep: str, after: int, until: int) -> tuple[Event, ...]:
        """The event that a sweep was finished by the last of the drivers with these leases, if it was."""
        try:
            found = status(self._store, sweep)
        except NotFound:  # it has been removed
            return ()
        if not found.finished:
            return ()
        for lease in range(until, after, -1):
            purpose = read_holder(self._store, sweep, lease).purpose
            if purpose is Purpose.REMOVE:  # what was before is of another sweep of this name
                break
            if purpose is Purpose.TRAIN and has_ended(self._store, sweep, lease):
                path = SweepPaths(sweep).lease(lease)
                nonce = from_json_bytes(self._store.read(path), where=path).get("nonce")
                facts = {name: plain(value) for name, value in status_facts(found).items()}
                log, owner = self._logs[sweep], self._queue.owner(sweep)
                return (of_sweep(log, lease, nonce, at=self._now(), facts=facts, owner=owner),)
        return ()


class _QueueEvents:
    """The queue's log, folded as it grows."""

    def __init__(self, store: Store) -> None:
        self._log = ChainedLog(store, FOLDER)
        self._state = QueueState()
        self._events: tuple[Event, ...] = ()

    def look(self) -> tuple[int, tuple[Event, ...]]:
        """Number of entries, and all events among them."""
        self._log.follow(self._take)
        return self._state.entries, self._events

    def _take(self, first: int, records: Sequence[Mapping[str, object]]) -> None:
        state, events = self._state, [*self._events]
        for number, record in enumerate(records, start=first):
            entry = QueueEntry.from_record(record, where=self._log.path(number))
            state = fold([entry], onto=state)
            if (event := of_queue(number, entry, None if entry.item is None else state.item(entry.item))) is not None:
                events.append(event)
        self._state, self._events = state, tuple(events)

    def owner(self, sweep: str) -> str | None:
        """The owner of the sweep's last item."""
        return next((item.owner for item in reversed(self._state.items) if item.sweep == sweep), None)
