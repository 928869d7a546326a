"""Leadership of the queue: one dispatcher of a store works it off, and another takes its place when it is gone.

The right itself is an entry of the queue's log, so that a dispatcher that was stopped and wakes up can note nothing any
more. That it lives is shown by a heartbeat beside the log.
"""

import logging
import threading
from collections.abc import Callable

from vae_search.errors import NotFound, VaeSearchError
from vae_search.queue.state import QueueState
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.leases.lease import BEAT_S, SILENCE_S
from vae_search.store.leases.processes import Process, is_alive

logger = logging.getLogger(__name__)

HEARTBEAT = "queue/heartbeat.json"


class Candidacy:
    """A process that leads, or waits until it may.

    Args:
        monotonic: clock by which another's silence is measured.
    """

    def __init__(
        self,
        store: Store,
        queue: SweepQueue,
        *,
        process: Process,
        monotonic: Callable[[], float],
        beat_s: float = BEAT_S,
    ) -> None:
        self._store = store
        self._queue = queue
        self._process = process
        self._monotonic = monotonic
        self._beat_s = beat_s
        self._seen: tuple[int, int] | None = None  # number and counter of the other's last heartbeat
        self._seen_at_s = 0.0
        self._counter = 0
        self._resigned = threading.Event()
        self._thread: threading.Thread | None = None
        self.number: int | None = None
        """of the right to lead; None while another has it"""

    def try_to_lead(self) -> bool:
        """Lead if nobody else does: there was nobody, or he has left, is provably dead, or was silent for long.

        Call it from time to time: a silence is only noticed between two calls.
        """
        state = self._queue.state()
        if state.leader is not None and not self._is_gone(state.leader.number, state.leader.process):
            return False
        number = self._queue.lead(self._process, seen=state)
        if number is None:
            return False
        self.number = number
        self._beat(ended=False)
        self._thread = threading.Thread(target=self._beat_until_resigned, name="heartbeat of the queue", daemon=True)
        self._thread.start()
        return True

    def resign(self) -> None:
        """Let another lead at once. May be called twice."""
        self._resigned.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            try:
                self._beat(ended=True)
            except VaeSearchError as trouble:
                logger.warning("queue: the last heartbeat failed: %s", trouble)
        self.number = None

    def _is_gone(self, number: int, process: Process) -> bool:
        beat, has_ended = _last_beat(self._store)
        if _has_left(number, process, beat, has_ended=has_ended):
            return True
        if self._seen != (number, 0 if beat is None or beat[0] != number else beat[1]):
            self._seen = (number, 0 if beat is None or beat[0] != number else beat[1])
            self._seen_at_s = self._monotonic()
        return self._monotonic() - self._seen_at_s >= SILENCE_S

    def _beat(self, *, ended: bool) -> None:
        self._counter += 1
        record = {"leader": self.number, "counter": self._counter, "ended": ended}
        self._store.replace(HEARTBEAT, to_json_bytes(record))

    def _beat_until_resigned(self) -> None:
        while not self._resigned.wait(self._beat_s):
            try:
                beat, _ = _last_beat(self._store)
                if beat is not None and beat[0] > (self.number or 0):
                    return  # another leads; the next note says so
                self._beat(ended=False)
            except VaeSearchError as trouble:  # the store may be back by the next one
                logger.warning("queue: a heartbeat failed: %s", trouble)


def may_be_led(store: Store, state: QueueState) -> bool:
    """False if certainly nobody works the queue off: nobody ever did, or he has left, or is provably dead."""
    if state.leader is None:
        return False
    beat, has_ended = _last_beat(store)
    return not _has_left(state.leader.number, state.leader.process, beat, has_ended=has_ended)


def _has_left(number: int, process: Process, beat: tuple[int, int] | None, *, has_ended: bool) -> bool:
    return (beat is not None and beat[0] == number and has_ended) or is_alive(process) is False


def _last_beat(store: Store) -> tuple[tuple[int, int] | None, bool]:
    """Leader and counter of the last heartbeat, None if there was none; and whether the leader has left."""
    try:
        record = from_json_bytes(store.read(HEARTBEAT), where=HEARTBEAT)
    except NotFound:
        return None, False
    leader, counter = record.get("leader"), record.get("counter")
    if not (isinstance(leader, int) and isinstance(counter, int)):
        return None, False
    return (leader, counter), record.get("ended") is True
