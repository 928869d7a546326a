"""One driver per sweep: numbered leases, a heartbeat, takeover, and the request to stop.

The newest lease owns the sweep. Its holder looks for a newer one before each commit, and rows record the lease they
were written under; that two drivers cannot both write a row is guaranteed by `Store.create` alone.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vae_search.errors import Conflict, LeaseLost, NotFound, VaeSearchError
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.leases.processes import is_alive, this_process
from vae_search.store.leases.records import Holder, has_ended, newest_lease, read_beat, read_holder, stop_requested
from vae_search.store.paths import SweepPaths

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec

logger = logging.getLogger(__name__)

BEAT_S = 5.0  # between two heartbeats
# In a heartbeat's progress: seconds that drivers have spent on the sweep, and whether the last had nothing left to do.
DRIVER_S, EXHAUSTED = "driver_s", "exhausted"
SILENCE_S = 30.0  # after which a holder counts as gone
POLL_S = 1.0  # between two looks at somebody else's heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of a sweep's newest driver."""

    lease: int
    counter: int
    progress: Mapping[str, object]
    holder: Holder
    alive: bool | None  # whether its process runs; None if it cannot be told from this machine
    ended: bool  # whether it has left in an orderly way
    driver_s: float  # that drivers have spent on the sweep until its last heartbeat, this one or an earlier
    exhausted: bool  # whether nothing was to be done any more, with the budget that the last driver had


class Lease:
    """The right to write a sweep, held by this process until `release` or until a newer lease exists."""

    def __init__(self, store: Store, sweep: str, number: int, progress: Callable[[], Mapping[str, object]]) -> None:
        self.number = number
        self._store = store
        self._sweep = sweep
        self._progress = progress
        self._counter = 0
        self._released = threading.Event()
        self._trouble: Exception | None = None
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Call before each commit.

        Raises:
            LeaseLost: A newer lease exists.
            Exception: What made the last heartbeat fail; without heartbeats another driver will take over.
        """
        self._look_for_newer()
        if self._trouble is not None:
            raise self._trouble

    def stop_requested(self) -> bool:
        """True once somebody has asked this driver to stop."""
        return stop_requested(self._store, self._sweep, self.number)

    def request_stop(self) -> None:
        """Tell this driver's own workers, who look for the request in the store, that it is about to leave."""
        _ask_to_stop(self._store, self._sweep, self.number)

    def beat(self) -> None:
        """Show a sign of life with the present progress; the lease's own thread calls this.

        Raises:
            LeaseLost: A newer lease exists; its heartbeat is left alone.
        """
        self._look_for_newer()
        self._counter += 1
        record = {"lease": self.number, "counter": self._counter, "progress": dict(self._progress())}
        self._store.replace(SweepPaths(self._sweep).heartbeat, to_json_bytes(record))

    def release(self) -> None:
        """End the lease, so that the next driver may start at once. May be called twice."""
        self._released.set()
        if self._thread is not None:
            self._thread.join()
            self._last_beat()
        with suppress(AlreadyThere):
            self._store.create(SweepPaths(self._sweep).lease_ended(self.number), to_json_bytes({"lease": self.number}))

    def _last_beat(self) -> None:
        """Leave the final progress behind; that it fails must not hide why the driver ends."""
        try:
            self.beat()
        except VaeSearchError as trouble:
            logger.warning("sweep %s: the last heartbeat failed: %s", self._sweep, trouble)

    def keep_beating(self, every_s: float) -> None:
        """Start the thread that beats: the driver's own loop may be blocked for long."""
        self._thread = threading.Thread(
            target=self._beat_until_released, args=(every_s,), name=f"heartbeat of {self._sweep}", daemon=True
        )
        self._thread.start()

    def _beat_until_released(self, every_s: float) -> None:
        while not self._released.wait(every_s):
            try:
                self.beat()
                self._trouble = None
            except LeaseLost:
                return
            except Exception as trouble:
                # Nobody would see it raised in a thread: `check` raises it where somebody does.
                if self._trouble is None:
                    logger.exception("sweep %s: a heartbeat of lease %d failed", self._sweep, self.number)
                self._trouble = trouble

    def _look_for_newer(self) -> None:
        try:
            newer = read_holder(self._store, self._sweep, self.number + 1)
        except NotFound:
            return
        raise LeaseLost(
            f"sweep {self._sweep}: lease {self.number} was taken over by {newer}. This driver stops without writing."
        )


def acquire(
    store: Store,
    sweep: str,
    *,
    spec: "SweepSpec | None" = None,
    progress: Callable[[], Mapping[str, object]] = dict,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    beat_s: float = BEAT_S,
) -> Lease:
    """Take the sweep's next lease and begin to beat.

    It is given at once if there is no other driver, or if its process has provably ended. Otherwise this watches the
    other's heartbeat: should it stand still for `SILENCE_S`, measured here, that driver has lost the sweep.

    Args:
        spec: What the driver runs the sweep with, for `sweep_record.latest_spec`; None for one that trains nothing.
        progress: Called at each beat, in the heartbeat's thread; what it returns is shown by `status`.

    Raises:
        Conflict: Another driver is alive.
        StoreUnavailable: The lease could not be written.
    """
    newest = newest_lease(store, sweep)
    if newest:
        _wait_until_gone(store, sweep, newest, monotonic, sleep)
    number = newest + 1
    record: dict[str, object] = {
        "lease": number,
        "nonce": secrets.token_hex(16),
        "process": asdict(this_process()),
        "started_at": clock().isoformat(),
    }
    if spec is not None:
        record["spec"] = spec.to_json()
    try:
        store.create(SweepPaths(sweep).lease(number), to_json_bytes(record))
    except AlreadyThere:
        raise _conflict(store, sweep, number) from None
    lease = Lease(store, sweep, number, progress)
    lease.beat()
    lease.keep_beating(beat_s)
    return lease


def read_heartbeat(store: Store, sweep: str) -> Heartbeat | None:
    """The last sign of life of the sweep's newest driver; None if there never was one, or if it has left."""
    last = last_heartbeat(store, sweep)
    return None if last is None or last.ended else last


def last_heartbeat(store: Store, sweep: str) -> Heartbeat | None:
    """The last sign of life of the sweep's newest driver, whether it has left or not; None if there never was one."""
    newest = newest_lease(store, sweep)
    if not newest:
        return None
    holder = read_holder(store, sweep, newest)
    lease, counter, last_progress = read_beat(store, sweep)
    has_beaten = lease == newest
    return Heartbeat(
        lease=newest,
        counter=counter if has_beaten else 0,
        progress=last_progress if has_beaten else {},
        holder=holder,
        alive=is_alive(holder.process),
        ended=has_ended(store, sweep, newest),
        driver_s=_driver_s_in(last_progress),
        exhausted=last_progress.get(EXHAUSTED) is True,
    )


def driver_s_before(store: Store, sweep: str) -> float:
    """Seconds that drivers have spent on the sweep until its last heartbeat; 0 if there never was one."""
    return _driver_s_in(read_beat(store, sweep)[2])


def _driver_s_in(progress: Mapping[str, object]) -> float:
    seconds = progress.get(DRIVER_S, 0.0)
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def request_stop(store: Store, sweep: str) -> Holder:
    """Ask the sweep's driver to stop; it looks for this from time to time. Asking twice changes nothing.

    Returns:
        The driver that was asked.

    Raises:
        NotFound: No driver holds the sweep.
    """
    last = read_heartbeat(store, sweep)
    if last is None or last.alive is False:
        raise NotFound(f"sweep {sweep}: no driver is running, so there is nothing to stop.")
    _ask_to_stop(store, sweep, last.lease)
    return last.holder


def _ask_to_stop(store: Store, sweep: str, number: int) -> None:
    with suppress(AlreadyThere):
        store.create(SweepPaths(sweep).stop(number), to_json_bytes({"lease": number}))


def _wait_until_gone(
    store: Store, sweep: str, number: int, monotonic: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """Return once the holder of lease `number` has ended, is dead or was silent for long; else raise Conflict."""
    first, began = read_beat(store, sweep)[:2], monotonic()
    while not has_ended(store, sweep, number) and is_alive(read_holder(store, sweep, number).process) is not False:
        lease, counter, _ = read_beat(store, sweep)
        if (lease, counter) != first:
            raise _conflict(store, sweep, max(lease, number))
        if monotonic() - began >= SILENCE_S:
            logger.info("sweep %s: lease %d was silent for %g s and is taken over", sweep, number, SILENCE_S)
            return
        sleep(POLL_S)


def _conflict(store: Store, sweep: str, number: int) -> Conflict:
    return Conflict(
        f"sweep {sweep}: another driver is at work: {read_holder(store, sweep, number)} (lease {number}).\n"
        f"Wait for it, or stop it with `vae-search stop {sweep}`."
    )
