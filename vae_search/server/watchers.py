"""Live events of sweeps: one watcher per sweep reads the store, however many people look on.

A watcher is a thread that lives as long as somebody listens. Each listener has a queue of its own that is bounded:
whoever does not keep up is let go, and comes back with the number of the last event that he has seen.
"""

import asyncio
import json
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from vae_search.errors import StoreUnavailable, VaeSearchError
from vae_search.server.problems import RefusalError
from vae_search.services.browsing.sweep_facts import progress_facts
from vae_search.services.payloads import landed_facts
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.backends.base import Store
from vae_search.store.control.present_spec import read_present_spec
from vae_search.store.queries.live_progress import ProgressFollower
from vae_search.store.sweeps import sweep_record

logger = logging.getLogger(__name__)

LOOK_S = 2.0  # between two looks at a sweep that runs
IDLE_LOOKS = 5  # times as long, at one that nobody runs, or while the store is away
PROGRESS = "progress"  # the kind of event that tells a new listener how things stand
KEPT_EVENTS = 512  # of a sweep, for listeners that come back
WAITING_EVENTS = 128  # of a listener
MOST_WATCHED = 64  # sweeps at once, each a thread
MOST_LISTENERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a stream.

    Args:
        number: from 1, of its watcher.
        kind: progress, trial, trouble or end.
    """

    number: int
    kind: str
    data: dict[str, Any]

    def to_text(self, watcher: str) -> str:
        """The event as it goes over the line (HTML Living Standard, 9.2)."""
        return f"id: {watcher}-{self.number}\nevent: {self.kind}\ndata: {json.dumps(self.data, default=str)}\n\n"


class Listener:
    """A stream that somebody reads; made in the event loop that serves it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Event | None] = asyncio.Queue()

    def offer(self, event: Event | None) -> None:
        """Hand an event over, from any thread; None is the last one."""
        with suppress(RuntimeError):  # the loop is closed: the server ends
            self._loop.call_soon_threadsafe(self._put, event)

    async def next(self) -> Event | None:
        """The next event; None after the last one."""
        return await self._waiting.get()

    def _put(self, event: Event | None) -> None:
        if self._waiting.qsize() > WAITING_EVENTS:
            event = None  # he does not keep up; what he has missed is kept for when he comes back
        self._waiting.put_nowait(event)


Tell = Callable[[str, dict[str, Any]], Event]
"""hands an event of a kind to all listeners"""
Look = Callable[[Tell], float]
"""looks once, tells what is new, and says after how many seconds to look again"""


class SweepLook:
    """Looks at one sweep."""

    def __init__(self, store: Store, sweep: str, *, monotonic: Callable[[], float], look_s: float) -> None:
        self._spec = read_present_spec(store, sweep)
        self._following = ProgressFollower(store, sweep, pareto_criteria(self._spec), monotonic=monotonic)
        self._look_s = look_s
        self._told: dict[str, Any] | None = None

    def __call__(self, tell: Tell) -> float:
        """Look once."""
        try:
            update = self._following.look()
        except StoreUnavailable as trouble:  # it may be back by the next look
            tell("trouble", {"reason": str(trouble)})
            return IDLE_LOOKS * self._look_s
        for row in update.landed:
            tell("trial", landed_facts(row))
        facts = progress_facts(self._following, self._spec, update)
        if facts != self._told:
            self._told = facts
            tell(PROGRESS, facts)
        return self._look_s if facts["runs"] else IDLE_LOOKS * self._look_s


class Watcher:
    """The reader of one sweep, or of the store, and those who listen.

    Args:
        watched: name of what is looked at.
        begin: begins to look; a thread of its own calls it.
    """

    def __init__(self, watched: str, begin: Callable[[], Look]) -> None:
        self.name = secrets.token_hex(4)
        self._watched = watched
        self._begin = begin
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._kept: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._progress: Event | None = None
        self._count = 0
        self._woken = threading.Event()
        self._is_over = False

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name=f"watcher of {self._watched}", daemon=True).start()

    def join(self, listener: Listener, *, last_seen: str | None) -> bool:
        """Let somebody listen: first what he has missed, or how the sweep stands. False if the watcher has ended."""
        with self._lock:
            if self._is_over:
                return False
            watcher, _, number = (last_seen or "").partition("-")
            first_kept = self._kept[0].number if self._kept else 1
            if watcher == self.name and number.isdecimal() and int(number) >= first_kept - 1:
                for event in self._kept:
                    if event.number > int(number):
                        listener.offer(event)
            elif self._progress is not None:
                listener.offer(self._progress)
            self._listeners.add(listener)
            return True

    def leave(self, listener: Listener) -> None:
        """Forget a listener; without any, the watcher ends."""
        with self._lock:
            self._listeners.discard(listener)
            if not self._listeners:
                self._woken.set()

    def end(self) -> None:
        """End the streams of all listeners."""
        with self._lock:
            self._is_over = True
            for listener in self._listeners:
                listener.offer(None)
            self._listeners.clear()
        self._woken.set()

    @property
    def is_over(self) -> bool:
        """True once it looks no more."""
        with self._lock:
            return self._is_over

    @property
    def listeners(self) -> int:
        """Number of those who listen."""
        with self._lock:
            return len(self._listeners)

    def _run(self) -> None:
        try:
            look = self._begin()
            while not self._ends():
                wait_s = look(self._tell)
                self._woken.wait(wait_s)
                self._woken.clear()
        except VaeSearchError as error:
            self._tell("end", {"reason": str(error)})
        except Exception:
            logger.exception("the watcher of %s failed by a mistake in this program", self._watched)
        finally:
            self.end()

    def _tell(self, kind: str, data: dict[str, Any]) -> Event:
        with self._lock:
            self._count += 1
            event = Event(number=self._count, kind=kind, data=data)
            self._kept.append(event)
            self._progress = event if kind == PROGRESS else self._progress
            for listener in self._listeners:
                listener.offer(event)
        return event

    def _ends(self) -> bool:
        """True if nobody listens; from then on nobody can."""
        with self._lock:
            self._is_over = self._is_over or not self._listeners
            return self._is_over


class Watchers:
    """The watchers of a service."""

    def __init__(self, store: Store, *, monotonic: Callable[[], float], look_s: float = LOOK_S) -> None:
        self._store = store
        self._monotonic = monotonic
        self._look_s = look_s
        self._lock = threading.Lock()
        self._by_name: dict[str, Watcher] = {}

    def listen(self, sweep: str, listener: Listener, *, last_seen: str | None) -> Watcher:
        """Join the watcher of a sweep, or start it.

        Raises:
            NotFound: There is no such sweep.
            RefusalError: Too many listen, or too many sweeps are watched.
        """
        if self._present(sweep) is None:
            sweep_record.read_stored(self._store, sweep)

        def begin() -> Look:
            return SweepLook(self._store, sweep, monotonic=self._monotonic, look_s=self._look_s)

        return self.join(sweep, begin, listener, last_seen=last_seen)

    def join(self, watched: str, begin: Callable[[], Look], listener: Listener, *, last_seen: str | None) -> Watcher:
        """Join the watcher of anything, or start it.

        Args:
            watched: name of what is looked at.
            begin: begins to look.

        Raises:
            RefusalError: Too many listen, or too much is watched.
        """
        with self._lock:
            self._by_name = {name: each for name, each in self._by_name.items() if not each.is_over}
            if sum(each.listeners for each in self._by_name.values()) >= MOST_LISTENERS:
                raise _full(f"More than {MOST_LISTENERS} streams are read.")
            present = self._by_name.get(watched)
            if present is not None and present.join(listener, last_seen=last_seen):
                return present
            if len(self._by_name) >= MOST_WATCHED:
                raise _full(f"More than {MOST_WATCHED} sweeps are watched.")
            started = Watcher(watched, begin)
            started.join(listener, last_seen=last_seen)
            started.start()
            self._by_name[watched] = started
            return started

    def _present(self, watched: str) -> Watcher | None:
        with self._lock:
            present = self._by_name.get(watched)
        return None if present is None or present.is_over else present

    def end(self) -> None:
        """End all streams."""
        with self._lock:
            for watcher in self._by_name.values():
                watcher.end()
            self._by_name.clear()

    @property
    def watched(self) -> int:
        """Number of sweeps that are watched."""
        with self._lock:
            return sum(not each.is_over for each in self._by_name.values())


def _full(detail: str) -> RefusalError:
    return RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, f"{detail} Try again later.", headers={"Retry-After": "30"})
