"""Dispatch of the queue as long as a server runs: lead or wait, and step by step bring drivers to what people want."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from vae_search.core.scratch import scratch_folder
from vae_search.errors import LeaseLost, VaeSearchError
from vae_search.queue.dispatcher import Dispatcher, Drivers
from vae_search.queue.leadership import Candidacy
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.services.queue.child_drivers import ChildDrivers
from vae_search.store.backends.base import Store
from vae_search.store.leases.processes import this_process

logger = logging.getLogger(__name__)

STEP_S = 1.0
LEAVE_S = 60.0  # a driver saves its epochs within 15 s; Ray may take longer on a busy machine
MOST_SWEEPS = 1  # at once: a sweep fills the machine, or the cluster, by itself


class LeadersWork(Protocol):
    """Further work that only the process does which leads the dispatch."""

    def start(self) -> None:
        """Begin to wait for the lead; returns at once."""

    def lead(self, leading: bool) -> None:
        """Take notice that this process leads from now on, or does not."""

    def stop(self) -> None:
        """End in an orderly way."""


class BackgroundDispatch:
    """Dispatch in a thread, from `start` to `stop`.

    Args:
        most: sweeps at once.
        leave_s: how long `stop` waits for the drivers that train here.
        beside: what the leader does as well.
    """

    def __init__(
        self,
        store: Store,
        drivers: ChildDrivers,
        *,
        most: int = MOST_SWEEPS,
        leave_s: float = LEAVE_S,
        beside: LeadersWork | None = None,
    ) -> None:
        self._drivers = drivers
        self._leave_s = leave_s
        self._beside = beside
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=dispatch,
            args=(store, drivers),
            kwargs={"stopped": self._stopped, "most": most, "on_leading": self._on_leading},
            name="dispatcher",
            daemon=True,
        )

    def start(self) -> None:
        """Begin; returns at once."""
        if self._beside is not None:
            self._beside.start()
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """False once a mistake in this program has ended the thread."""
        return self._stopped.is_set() or self._thread.is_alive()

    def stop(self) -> None:
        """Let another dispatcher lead, and stop the drivers that train here: the next dispatcher continues them."""
        self._stopped.set()
        self._thread.join()
        if self._beside is not None:
            self._beside.stop()
        self._drivers.stop_all(wait_s=self._leave_s)

    def _on_leading(self, leading: bool) -> None:
        if self._beside is not None:
            self._beside.lead(leading)


@contextmanager
def background_dispatch(
    store: Store, *, address: str | None, most: int, beside: LeadersWork | None = None
) -> Iterator[BackgroundDispatch]:
    """Dispatch to child processes whose files are this process's alone; the caller starts and stops it.

    Args:
        address: see `ChildDrivers`.
        most: sweeps at once.
        beside: what the leader does as well.
    """
    with scratch_folder("queue-") as folder:
        drivers = ChildDrivers(store, folder=folder, address=address, monotonic=time.monotonic)
        yield BackgroundDispatch(store, drivers, most=most, beside=beside)


def dispatch(
    store: Store,
    drivers: Drivers,
    *,
    stopped: threading.Event,
    most: int = MOST_SWEEPS,
    step_s: float = STEP_S,
    on_leading: Callable[[bool], None] = lambda leading: None,
) -> None:
    """Work the store's queue off until `stopped` is set. Trouble of the store is waited out.

    Args:
        most: sweeps at once.
        on_leading: told whenever this process begins to lead, or does not any more.
    """
    queue = SweepQueue(store, now=lambda: datetime.now(UTC))
    while not stopped.is_set():
        candidacy = Candidacy(store, queue, process=this_process(), monotonic=time.monotonic)
        try:
            _lead(queue, candidacy, drivers, stopped=stopped, most=most, step_s=step_s, on_leading=on_leading)
        except LeaseLost as lost:
            logger.warning("%s", lost)
        finally:
            candidacy.resign()
            on_leading(False)


def _lead(
    queue: SweepQueue,
    candidacy: Candidacy,
    drivers: Drivers,
    *,
    stopped: threading.Event,
    most: int,
    step_s: float,
    on_leading: Callable[[bool], None],
) -> None:
    """Wait until this process leads, then step until it is stopped.

    Raises:
        LeaseLost: Another dispatcher leads now.
    """
    dispatcher = None
    while not stopped.is_set():
        try:
            if dispatcher is None and candidacy.try_to_lead() and candidacy.number is not None:
                on_leading(True)
                dispatcher = Dispatcher(
                    queue, drivers, leader=candidacy.number, most=most, now=lambda: datetime.now(UTC)
                )
            if dispatcher is not None:
                dispatcher.step()
        except LeaseLost:
            raise
        except VaeSearchError as trouble:  # the store may be back by the next step
            logger.warning("queue: %s", trouble)
        stopped.wait(step_s)
