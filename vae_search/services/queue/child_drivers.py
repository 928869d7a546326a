"""Drivers of queued sweeps as child processes: `vae-search run` with a Ray of its own, or `submit` of a cluster's job.

A driver's signal handlers, folder and environment belong to its whole process, so that none may run in a server's.
"""

import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from vae_search.core.text import printable
from vae_search.errors import NotFound, VaeSearchError
from vae_search.queue.dispatcher import DriverEnd, Presence
from vae_search.queue.retries import STOPPED
from vae_search.queue.state import QueueItem
from vae_search.services.queue.driver_presence import HeartbeatWatch
from vae_search.services.sweep_status import status
from vae_search.store.backends.base import Store
from vae_search.store.control.present_spec import present_spec
from vae_search.store.leases.heartbeat import last_heartbeat, request_stop
from vae_search.store.sweeps import sweep_record

logger = logging.getLogger(__name__)

ERROR = "error: "  # begins the last words of a command that failed
WORDS_BYTES = 4000  # of a driver's output that its last words are looked for in
NO_PROGRAM = 127  # as a shell says it


class ChildDrivers:
    """Child processes, at most one for each item.

    Args:
        folder: of this process alone; specs and output of the drivers lie there.
        address: of a cluster's dashboard, http://HEAD:8265, whose jobs the children start and follow; None: they train
            here.
        options: further ones of the command.
        monotonic: see `HeartbeatWatch`.
    """

    def __init__(
        self,
        store: Store,
        *,
        folder: Path,
        address: str | None = None,
        options: Sequence[str] = (),
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._folder = folder
        self._address = address
        self._options = tuple(options)
        self._watch = HeartbeatWatch(store, monotonic=monotonic)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._items: dict[int, QueueItem] = {}  # as they were started
        self._failed: dict[int, str] = {}  # that could not be started, and why
        self._stopped: set[int] = set()

    def start(self, item: QueueItem) -> None:
        """Start a driver; see `Drivers.start`."""
        spec, output = self._folder / f"{item.number}.yaml", self._output(item.number)
        command = [sys.executable, "-m", "vae_search", *self._command(str(spec)), *self._options]
        self._stopped.discard(item.number)
        self._items[item.number] = item
        self._failed.pop(item.number, None)
        try:
            spec.write_text(item.spec)
            with output.open("wb") as stream:
                # In a session of its own: Ctrl-C in the server's terminal is for the server, which stops it in order.
                self._children[item.number] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
                )
        except OSError as error:
            self._failed[item.number] = f"the driver could not be started: {error}"

    def stop(self, item: QueueItem) -> None:
        """Ask the item's driver to stop; see `Drivers.stop`."""
        child = self._children.get(item.number)
        if child is None or self._address is not None:  # a signal would end the one that follows a job, not the job
            with suppress(NotFound):
                request_stop(self._store, item.sweep)
        elif item.number not in self._stopped:  # a second signal would end it at once
            self._stopped.add(item.number)
            child.send_signal(signal.SIGTERM)

    def stop_all(self, *, wait_s: float) -> None:
        """Ask all that train here to stop, and wait until they have; one that has not by then goes on by itself."""
        if self._address is not None:
            return  # the cluster trains, and goes on
        for number, child in self._children.items():
            if child.poll() is None and number not in self._stopped:
                self._stopped.add(number)
                child.send_signal(signal.SIGTERM)
        for number, child in self._children.items():
            try:
                child.wait(wait_s)
            except subprocess.TimeoutExpired:
                logger.warning("queue: the driver of item %d is still at work after %g s", number, wait_s)

    def ended(self) -> Iterable[DriverEnd]:
        """The own drivers that have ended; see `Drivers.ended`."""
        ends = [self._end(number, exit_code=NO_PROGRAM, reason=why) for number, why in self._failed.items()]
        for number, child in self._children.items():
            code = child.poll()
            if code is not None:
                goes_on = code == 0 and self._is_extended(self._items[number].sweep)
                words = self._last_words(number)
                ends.append(self._end(number, exit_code=STOPPED if goes_on else code, reason=words))
        return ends

    def _end(self, number: int, *, exit_code: int, reason: str | None) -> DriverEnd:
        return DriverEnd(item=number, attempt=self._items[number].attempt or 0, exit_code=exit_code, reason=reason)

    def _is_extended(self, sweep: str) -> bool:
        """True if the sweep got a larger budget after its driver had looked for the last time; then it goes on."""
        try:
            record, last = sweep_record.read_stored(self._store, sweep), last_heartbeat(self._store, sweep)
            if last is None or present_spec(self._store, record, until=last.progress.commands).budget == (
                present_spec(self._store, record).budget
            ):
                return False
            return not status(self._store, sweep).finished
        except VaeSearchError as trouble:  # the queue goes by the driver's own word
            logger.warning("queue: whether sweep %s goes on cannot be told: %s", sweep, trouble)
            return False

    def forget(self, item: int) -> None:
        """Drop what is kept of a driver whose end is noted."""
        self._items.pop(item, None)
        self._failed.pop(item, None)
        self._children.pop(item, None)
        self._stopped.discard(item)

    def presence(self, item: QueueItem) -> Presence:
        """Look for the item's driver; see `Drivers.presence`."""
        child = self._children.get(item.number)
        if child is not None and child.poll() is None:
            return Presence.OWN
        try:
            return self._watch.presence(item.sweep)
        except VaeSearchError as trouble:  # of the store: the next look may find it well
            logger.warning("queue: the driver of item %d cannot be looked for: %s", item.number, trouble)
            return Presence.ELSEWHERE

    def _command(self, spec: str) -> list[str]:
        if self._address is None:
            return ["run", spec, "--store", self._store.location]
        return ["submit", spec, "--address", self._address, "--follow", "--store", self._store.location]

    def _output(self, number: int) -> Path:
        return self._folder / f"{number}.log"

    def _last_words(self, number: int) -> str | None:
        """The error that a driver has told, in at most three lines, or its last line; None if it told nothing."""
        try:
            said = self._output(number).read_bytes()[-WORDS_BYTES:].decode(errors="replace")
        except OSError:
            return None
        lines = [line for line in said.splitlines() if line.strip()]
        errors = [position for position, line in enumerate(lines) if line.startswith(ERROR)]
        told = lines[errors[-1] :][:3] if errors else lines[-1:]
        return "\n".join(printable(line.removeprefix(ERROR), 300) for line in told) or None
