"""One driver per sweep: numbered leases, a heartbeat, takeover, and the request to stop.

The newest lease owns the sweep. Before each commit its holder looks for a newer one, and whether the record of its own
is still the one that it wrote: a sweep may have been removed, or restored from a copy, while it slept. Rows record the
lease that they were written under; that two drivers cannot both write a row is guaranteed by `Store.create` alone.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime

from vae_search.errors import Conflict, LeaseLost, VaeSearchError
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.leases.processes import is_alive, this_process
from vae_search.store.leases.records import (
    DriverProgress,
    Purpose,
    ask_to_stop,
    has_ended,
    newest_lease,
    progress_until,
    read_beat,
    read_holder,
    stop_requested,
)
from vae_search.store.paths import SweepPaths

logger = logging.getLogger(__name__)

BEAT_S = 5.0  # between two heartbeats
SILENCE_S = 30.0  # after which a holder counts as gone
POLL_S = 1.0  # between two looks at somebody else's heartbeat


class Lease:
    """The right to write a sweep, held by this process until `release` or until a newer lease exists.

    Args:
        before: driver time of all leases before this one.
        progress: of this driver alone; what it returns is added to `before`.
    """

    def __init__(
        self,
        store: Store,
        sweep: str,
        number: int,
        *,
        nonce: str,
        before: DriverProgress,
        progress: Callable[[], DriverProgress] | None,
    ) -> None:
        self.number = number
        self.before = before
        self._store = store
        self._sweep = sweep
        self._nonce = nonce
        self._progress = progress
        self._counter = 0
        self._released = threading.Event()
        self._trouble: Exception | None = None
        self._thread: threading.Thread | None = None

    def begin_anew(self) -> None:
        """Forget the driver time before this lease: it was another sweep's, which was removed.

        Raises:
            LeaseLost, StoreUnavailable: The heartbeat could not be written; a later one says the same.
        """
        self.before = DriverProgress()
        self.beat()

    def progress(self) -> DriverProgress:
        """Driver time of all leases until now."""
        if self._progress is None:
            return self.before
        own = self._progress()
        return replace(own, driver_s=self.before.driver_s + own.driver_s)

    def check(self) -> None:
        """Make sure that this process still owns the sweep; call before each commit.

        Raises:
            LeaseLost: A newer lease exists, or the record of this one is gone or another's.
            Exception: What made the last heartbeat fail; without heartbeats another driver will take over.
        """
        self._look_for_others()
        if self._trouble is not None:
            raise self._trouble

    def stop_requested(self) -> bool:
        """True once somebody has asked this driver to stop."""
        return stop_requested(self._store, self._sweep, self.number)

    def request_stop(self) -> None:
        """Tell this driver's own workers, who look for the request in the store, that it is about to leave."""
        ask_to_stop(self._store, self._sweep, self.number)

    def beat(self) -> None:
        """Show a sign of life with the present progress; the lease's own thread calls this.

        Raises:
            LeaseLost: This process does not own the sweep any more; the other's heartbeat is left alone.
        """
        self._look_for_others()
        self._counter += 1
        record = {"lease": self.number, "counter": self._counter, "progress": asdict(self.progress())}
        self._store.replace(SweepPaths(self._sweep).heartbeat, to_json_bytes(record))

    def release(self, *, done: bool = True) -> None:
        """End the lease, so that the next driver may start at once. May be called twice.

        Args:
            done: whether its work is; a removal that is not must be finished by somebody else.
        """
        self._released.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            try:
                self.beat()
            except LeaseLost as lost:
                logger.warning("%s", lost)
                return  # what has this number now is not this lease
            except VaeSearchError as trouble:  # it must not hide why the driver ends
                logger.warning("sweep %s: the last heartbeat failed: %s", self._sweep, trouble)
        record = {"lease": self.number, "nonce": self._nonce, "done": done, "progress": asdict(self.progress())}
        with suppress(AlreadyThere):
            self._store.create(SweepPaths(self._sweep).lease_ended(self.number), to_json_bytes(record))

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

    def _look_for_others(self) -> None:
        paths = SweepPaths(self._sweep)
        own, newer = self._store.read_many([paths.lease(self.number), paths.lease(self.number + 1)])
        if newer is not None:
            raise LeaseLost(
                f"sweep {self._sweep}: lease {self.number} was taken over by "
                f"{read_holder(self._store, self._sweep, self.number + 1)}. This driver stops without writing."
            )
        if own is None or from_json_bytes(own, where=paths.lease(self.number)).get("nonce") != self._nonce:
            raise LeaseLost(
                f"sweep {self._sweep}: lease {self.number} is gone, or is another driver's: the sweep was removed, or "
                "restored from a copy. This driver stops without writing."
            )


def acquire(
    store: Store,
    sweep: str,
    *,
    purpose: Purpose = Purpose.MAINTAIN,
    begin: Callable[[], Mapping[str, object]] = dict,
    progress: Callable[[], DriverProgress] | None = None,
    take_over: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    beat_s: float = BEAT_S,
) -> Lease:
    """Take the sweep's next lease and begin to beat.

    It is given at once if there is no other driver, or if its process has provably ended. Otherwise this watches the
    other's heartbeat: should it stand still for `SILENCE_S`, measured here, that driver has lost the sweep.

    A removal is another matter: who sleeps in the middle of one, or of anything while the sweep is removed and begun
    anew, would wake up among the files of the new sweep, which have the same names. So silence alone neither lets a
    removal begin nor ends one.

    Args:
        purpose: what for.
        begin: What the driver runs the sweep with, as fields of the lease's record (`present_spec.BegunSpec`); called
            once nobody else holds the sweep. Nothing for one that trains nothing.
        progress: This driver's own, without the ones before it; called at each beat, in the heartbeat's thread. None
            for one that trains nothing: what was before stays as it is.
        take_over: lets a removal take the place of a silent holder; for people who know that its machine is gone.

    Raises:
        Conflict: Another driver is alive, or may be.
        StoreUnavailable: The lease could not be written.
    """
    newest = newest_lease(store, sweep)
    by_silence = take_over if purpose is Purpose.REMOVE else None
    if newest:
        _wait_until_gone(store, sweep, newest, by_silence=by_silence, monotonic=monotonic, sleep=sleep)
    before = progress_until(store, sweep, newest)
    number, nonce = newest + 1, secrets.token_hex(16)
    record: dict[str, object] = {
        "lease": number,
        "nonce": nonce,
        "purpose": purpose,
        "process": asdict(this_process()),
        "started_at": clock().isoformat(),
        "before": asdict(before),
    }
    record |= begin()
    try:
        store.create(SweepPaths(sweep).lease(number), to_json_bytes(record))
    except AlreadyThere:
        raise _conflict(store, sweep, number) from None
    lease = Lease(store, sweep, number, nonce=nonce, before=before, progress=progress)
    lease.beat()
    lease.keep_beating(beat_s)
    return lease


def _wait_until_gone(
    store: Store,
    sweep: str,
    number: int,
    *,
    by_silence: bool | None,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Return once the holder of lease `number` has ended, is dead or was silent for long; else raise Conflict.

    Args:
        by_silence: whether silence is enough; None: unless the holder removes the sweep.
    """
    first, began = read_beat(store, sweep)[:2], monotonic()
    while not has_ended(store, sweep, number):
        holder = read_holder(store, sweep, number)
        if is_alive(holder.process) is False:
            return
        lease, counter, _ = read_beat(store, sweep)
        if (lease, counter) != first:
            raise _conflict(store, sweep, max(lease, number))
        if monotonic() - began >= SILENCE_S:
            if by_silence is False or (by_silence is None and holder.purpose is Purpose.REMOVE):
                raise Conflict(
                    f"sweep {sweep}: {holder} {holder.doing} and has been silent since this command began; from here "
                    f"nobody can tell whether it sleeps or is gone.\nWait for it. If that machine is gone for good: "
                    f"`vae-search rm {sweep} --take-over`."
                )
            logger.info("sweep %s: lease %d was silent for %g s and is taken over", sweep, number, SILENCE_S)
            return
        sleep(POLL_S)


def _conflict(store: Store, sweep: str, number: int) -> Conflict:
    holder = read_holder(store, sweep, number)
    return Conflict(
        f"sweep {sweep}: another driver is at work: {holder} (lease {number}).\n"
        f"Wait for it, or stop it with `vae-search stop {sweep}`."
    )
