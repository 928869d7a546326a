"""The service: a store, the rules for who may do what, and what one process keeps to answer quickly.

Nothing in here is state of its own: another process on the same store answers the same.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from vae_search.core.machine import system_user
from vae_search.errors import NotFound
from vae_search.queue.leadership import HEARTBEAT
from vae_search.queue.state import QueueState
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.child_processes.promotions import Promotions
from vae_search.server.child_processes.traversals import TraversalReader
from vae_search.server.child_processes.trial_pictures import TrialPictures
from vae_search.server.metrics import Metrics
from vae_search.server.problems import RefusalError
from vae_search.server.submissions import DataRoots
from vae_search.server.tokens import Person, Role, TokenFile
from vae_search.server.watchers import LOOK_S, Watchers
from vae_search.services.browsing.audit import Audit
from vae_search.services.browsing.figures import DigestReader
from vae_search.services.browsing.kept_answers import KeptAnswers
from vae_search.services.browsing.running_trials import RunningReader
from vae_search.services.browsing.sweep_pages import SweepReader
from vae_search.services.payloads import Facts
from vae_search.services.webhooks.outboxes import webhooks_facts
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.leases.lease import SILENCE_S

PULSES = ("beating", "silent", "none")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MOST_QUERIES = 2  # at once; each is a process that may take memory
QUERY_WAIT_S = 5.0  # for one of these to end
MOST_WAITING = 8  # queries; each holds one of the threads that answer everybody


class Background(Protocol):
    """Work that goes on beside the answers, as long as the service runs: the dispatcher of the queue."""

    def start(self) -> None:
        """Begin; returns at once."""

    @property
    def is_alive(self) -> bool:
        """False once it has failed and does nothing any more."""

    def stop(self) -> None:
        """End in an orderly way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options that a service is started with.

    Args:
        location: of the store, for processes that are started.
        tokens: None: whoever reaches the service is this user, with every right; for the loopback alone.
        hosts: names that it may be asked by, without ports.
        address: of the cluster that queued sweeps run on; None: this machine.
        look_s: between two looks at a sweep that somebody watches.
    """

    store: Store
    location: str
    tokens: TokenFile | None = None
    hosts: frozenset[str] = LOOPBACK
    roots: DataRoots = field(default_factory=DataRoots)
    address: str | None = None
    background: Background | None = None
    look_s: float = LOOK_S
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic


class Service:
    """One process of the service."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.store = options.store
        self.local = Person(name=system_user(), role=Role.APPROVER)
        self.metrics = Metrics()
        self.watchers = Watchers(self.store, monotonic=options.monotonic, look_s=options.look_s)
        self.pulse = Pulse(self.store, monotonic=options.monotonic, look_s=options.look_s)
        self.audit = Audit(self.store)
        self.sweeps = SweepReader(self.store, monotonic=options.monotonic, look_s=options.look_s)
        self.digests = DigestReader(self.sweeps, now=options.now, monotonic=options.monotonic)
        self.running = RunningReader(self.store, monotonic=options.monotonic, look_s=options.look_s)
        self.traversals = TraversalReader(self.store, location=options.location, roots=options.roots)
        self.pictures = TrialPictures(location=options.location, roots=options.roots)
        self.promotions = Promotions(options.location, now=options.now)
        self._queue = SweepQueue(self.store, now=options.now)
        self._queue_lock = threading.Lock()
        self._queued = KeptAnswers[QueueState](
            lambda _, __: self._read_queue(), fresh_s=lambda _: options.look_s, monotonic=options.monotonic, most=1
        )
        self._hooks = KeptAnswers[list[Facts]](
            lambda _, __: webhooks_facts(self.store),
            fresh_s=lambda _: options.look_s,
            monotonic=options.monotonic,
            most=1,
        )
        self._queries = threading.BoundedSemaphore(MOST_QUERIES)
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    @contextmanager
    def queue(self) -> Iterator[SweepQueue]:
        """The queue for whoever gives an order, one thread at a time: it keeps what it has read."""
        try:
            with self._queue_lock:
                yield self._queue
        finally:
            self._queued.outdate("")  # it may have changed, even if no answer came

    def queued(self, *, now: bool = False) -> QueueState:
        """The queue for readers: with all that was ordered here, and with what others ordered some moments ago.

        Args:
            now: with everything that was ordered before this call.
        """
        return self._queued.answer("", since_s=self.options.monotonic() if now else -math.inf)

    def hooks(self) -> list[Facts]:
        """The webhooks and their deliveries, as they were some moments ago."""
        return self._hooks.answer("")

    def _read_queue(self) -> QueueState:
        with self._queue_lock:
            return self._queue.state()

    @contextmanager
    def query_slot(self) -> Iterator[None]:
        """A place among the queries that may run at once.

        Raises:
            RefusalError: There is none.
        """
        has_slot = False
        if self._waiting.acquire(blocking=False):
            try:
                has_slot = self._queries.acquire(timeout=QUERY_WAIT_S)
            finally:
                self._waiting.release()
        if not has_slot:
            raise RefusalError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MOST_QUERIES} queries are being answered. Try again later.",
                headers={"Retry-After": "5"},
            )
        try:
            yield
        finally:
            self._queries.release()


@dataclass(slots=True, kw_only=True)
class _Beat:
    value: tuple[int, int] | None = None
    seen_at_s: float = 0.0


class Pulse:
    """The dispatcher's heartbeat, as seen from here: it beats as long as its counter moves, by our own clock.

    Args:
        look_s: for which what was seen is told again, however many ask.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float], look_s: float = 0.0) -> None:
        self._store = store
        self._monotonic = monotonic
        self._last = _Beat()
        self._kept = KeptAnswers[str](lambda _, __: self._look(), fresh_s=lambda _: look_s, monotonic=monotonic, most=1)

    def state(self) -> str:
        """One of `PULSES`; `none` if no dispatcher works the queue off.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        return self._kept.answer("")

    def _look(self) -> str:
        try:
            record: dict[str, Any] = dict(from_json_bytes(self._store.read(HEARTBEAT), where=HEARTBEAT))
        except NotFound:
            return "none"
        if record.get("ended") is True:
            return "none"
        value, now_s = (record.get("leader"), record.get("counter")), self._monotonic()
        if value != self._last.value:
            self._last = _Beat(value=value, seen_at_s=now_s)  # type: ignore[arg-type]  # compared, and no more
        return "beating" if now_s - self._last.seen_at_s < SILENCE_S else "silent"


async def service_of(request: Request) -> Service:
    """The service that a request is for."""
    found: Service = request.app.state.service
    return found


async def person_of(request: Request) -> Person:
    """The person whom the wall let in."""
    found: Person = request.state.person
    return found


async def admitted_of(request: Request) -> Callable[[], bool]:
    """A test of whether that person's token still holds."""
    found: Callable[[], bool] = request.state.admitted
    return found


InService = Annotated[Service, Depends(service_of)]
ByPerson = Annotated[Person, Depends(person_of)]
WhileAdmitted = Annotated[Callable[[], bool], Depends(admitted_of)]
