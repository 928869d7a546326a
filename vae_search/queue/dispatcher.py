"""Dispatcher of the queue: bring the drivers that run to what people want, step by step, from whatever is there."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from vae_search.errors import Conflict
from vae_search.queue.entries import QueueAction
from vae_search.queue.retries import CONFLICT
from vae_search.queue.scheduling import next_items
from vae_search.queue.state import QueueItem
from vae_search.queue.sweep_queue import SweepQueue

logger = logging.getLogger(__name__)

LOST = "its driver is gone without a word"


class Presence(StrEnum):
    """Knowledge of an item's driver."""

    OWN = "own"  # this process started it, and hears of its end
    ELSEWHERE = "elsewhere"  # it runs, or may run, and another process started it
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverEnd:
    """End of a driver that this process started."""

    item: int
    attempt: int
    """number of its `START` in the log"""
    exit_code: int
    reason: str | None
    """its last words"""


class Drivers(Protocol):
    """The drivers of queued sweeps: processes of this machine, or jobs of a cluster."""

    def start(self, item: QueueItem) -> None:
        """Start a driver, which runs or resumes the sweep. Trouble with that is a driver that ended with it."""

    def stop(self, item: QueueItem) -> None:
        """Ask the item's driver to stop, whoever started it; asking twice changes nothing."""

    def ended(self) -> Iterable[DriverEnd]:
        """The own drivers that have ended; each is told until `forget` is called for it."""

    def forget(self, item: int) -> None:
        """The end of the item's driver is noted."""

    def presence(self, item: QueueItem) -> Presence:
        """Look for the item's driver."""


class Dispatcher:
    """The work of one leader. Each `step` may be the last: whoever leads next goes on from the log.

    Args:
        leader: number of its right to lead.
        most: drivers at once.
    """

    def __init__(
        self, queue: SweepQueue, drivers: Drivers, *, leader: int, most: int, now: Callable[[], datetime]
    ) -> None:
        self._queue = queue
        self._drivers = drivers
        self._leader = leader
        self._most = most
        self._now = now

    def step(self) -> None:
        """Note which drivers have ended, stop those that nobody wants, and start what is next.

        Raises:
            LeaseLost: Another dispatcher leads; the drivers are his now.
            StoreUnavailable: The step can be made again.
        """
        self._note_ends()
        for item in self._queue.state().items:
            if item.is_unwanted:
                self._drivers.stop(item)
        for item in next_items(self._queue.state(), now=self._now(), most=self._most):
            try:
                state = self._queue.note(QueueAction.START, item.number, leader=self._leader)
            except Conflict:  # somebody has held or cancelled it meanwhile
                continue
            started = state.item(item.number)
            logger.info("queue: item %d, sweep %s, attempt %d", item.number, item.sweep, len(item.attempts) + 1)
            self._drivers.start(item if started is None else started)

    def _note_ends(self) -> None:
        for end in self._drivers.ended():
            item = self._queue.state().item(end.item)
            # Another dispatcher may have led meanwhile, given this driver up and started the next one.
            is_present = item is not None and item.has_driver and item.attempt == end.attempt
            if item is not None and is_present and not self._goes_on_elsewhere(item, end):
                self._note_end(item, exit_code=end.exit_code, reason=end.reason)
            self._drivers.forget(end.item)
        for item in self._queue.state().items:
            if item.has_driver and self._drivers.presence(item) is Presence.ABSENT:
                self._note_end(item, exit_code=None, reason=LOST)

    def _goes_on_elsewhere(self, item: QueueItem, end: DriverEnd) -> bool:
        """True if the driver met another one of the same sweep, such as one that outlived its dispatcher."""
        return end.exit_code == CONFLICT and self._drivers.presence(item) is Presence.ELSEWHERE

    def _note_end(self, item: QueueItem, *, exit_code: int | None, reason: str | None) -> None:
        logger.info("queue: item %d, sweep %s: its driver ended (%s): %s", item.number, item.sweep, exit_code, reason)
        self._queue.note(
            QueueAction.END,
            item.number,
            leader=self._leader,
            attempt=item.attempt,
            exit_code=exit_code,
            reason=reason,
        )
