"""Lifecycle of a driver: its lease, stop signals, log files and time budget, around whatever trains the trials."""

import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from vae_search.core.scratch import LOGS, owned_folder
from vae_search.errors import Interrupted, StoreUnavailable
from vae_search.search.control.driver_time import DriverTime
from vae_search.search.control.live_control import LiveControl
from vae_search.search.planning.plan_record import plan_in
from vae_search.search.progress import Observer
from vae_search.search.running_trial import SweepContext
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.retrying import RetryingStore
from vae_search.store.control.command_log import CommandLog
from vae_search.store.control.present_spec import BegunSpec, begun_with
from vae_search.store.leases.lease import Lease, acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.beginning import create_or_check
from vae_search.store.sweeps.sweep_record import SweepRecord, find_stored

if TYPE_CHECKING:
    from vae_search.search.coordinator import SweepCoordinator

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
STOP_POLL_S = 1.0
FAR_WRITERS = 16  # commits at once in a bucket: each waits for a dozen answers, one after the other
# That a stopping driver gives its workers to end their epochs and to save them: what is left of the 15 s after which
# batch systems lose their patience when Ray has been ended, which takes 1.5 s, twice that on a busy machine.
WORKERS_LEAVE_S = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverSession:
    """Everything that a driver holds while it trains a sweep's trials."""

    coordinator: "SweepCoordinator"
    store: Store
    """retries what fails, until somebody asks to stop"""
    lease: int
    log_folder: Path
    signalled: threading.Event
    """set by the first signal, or by a stop request that was seen in the store"""
    stop_requested: Callable[[], bool]
    """true after a signal, or a request in the store"""
    control: LiveControl
    """commands to the sweep, and the spec that they make"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStart:
    """Record that a driver starts a sweep with; it is written, or compared with the stored one, under the lease."""

    record: SweepRecord
    text: str
    """the spec as the user wrote it"""
    must_exist: bool
    """whether the sweep is to be continued"""
    borrow: Callable[[Store, SweepRecord], SweepRecord] | None = None
    """copies what a new sweep takes from earlier ones into its folder; the record with it"""

    def record_in(self, store: Store) -> SweepRecord:
        """The record, of a new sweep with what it takes from others. The caller holds its lease."""
        is_new = self.borrow is not None and find_stored(store, self.record.spec.name) is None
        return self.borrow(store, self.record) if self.borrow is not None and is_new else self.record


def run_sweep(
    start: SweepStart,
    *,
    store: Store,
    observer: Observer,
    slots: Callable[[], int],
    train: Callable[[DriverSession], None],
    shares_machine: bool = False,
) -> None:
    """Own the sweep while `train` runs its trials, and leave everything resumable.

    Args:
        slots: how many trials run at once, for the forecast of what the confirm runs will take.
        train: returns when the coordinator has no more trials, or soon after a stop was requested. Not called if
            nothing is left to do.
        shares_machine: whether all slots are on one machine that is the sweep's own.

    Raises:
        Conflict: Another driver owns the sweep, or it is another sweep than the stored one of its name.
        CorruptStore: A stored row is another sweep's.
        Interrupted: Somebody asked to stop; everything is resumable.
        VaeSearchError: What `train` raises.
    """
    from vae_search.search.coordinator import SweepCoordinator  # here: workers import this module, and need no Optuna

    spec = start.record.spec
    driver_time = DriverTime(spec.budget.minutes)
    with stop_signals() as signalled:
        retrying = RetryingStore(store, wait=signalled.wait)
        with (
            hold_lease(retrying, spec, driver_time) as (lease, began_with),
            log_folder_of(retrying, spec.name) as folder,
            logging_to(folder / f"driver-{lease.number:06d}.log"),
        ):
            begun = create_or_check(retrying, start.record_in(retrying), text=start.text, must_exist=start.must_exist)
            if begun.is_new:
                lease.begin_anew()
            driver_time.before_s = lease.before.driver_s
            log = CommandLog(store, spec.name, incarnation=begun.record.incarnation)  # which does not wait for a store
            control = LiveControl(
                began_with,
                read=lambda: log.control(since=began_with.commands),
                monotonic=time.monotonic,
                on_change=driver_time.follow,
            )
            driver_time.follow(control)
            coordinator = SweepCoordinator(
                SweepContext(
                    spec=began_with.spec,
                    lease=lease.number,
                    comparability_key=begun.record.comparability_key,
                    versions=start.record.versions,
                    incarnation=begun.record.incarnation,
                    borrowing=begun.record.borrowing,
                    warm_started=begun.record.warm_started,
                    plan=plan_in(begun.record.plan, path=SweepPaths(spec.name).resolved),
                    shares_machine=shares_machine,
                ),
                store=retrying,
                lease=lease,
                now=lambda: datetime.now(UTC),
                seconds_left=driver_time.left_s,
                slots=slots,
                on_trial_finished=observer.on_trial_finished,
                writers=FAR_WRITERS if store.local_path("") is None else 0,
                on_training=driver_time.tick,
                control=control,
            )
            session = DriverSession(
                coordinator=coordinator,
                store=retrying,
                lease=lease.number,
                log_folder=folder,
                signalled=signalled,
                stop_requested=stop_requested_by(signalled, lease),
                control=control,
            )
            try:
                wanted = not coordinator.exhausted
                while wanted and not signalled.is_set():
                    train(session)
                    coordinator.settle(wait=True)
                    seen = control.seen
                    coordinator.heed(at_once=True)
                    wanted = control.seen > seen and not coordinator.exhausted  # it came while the training ended
            finally:
                coordinator.close()  # before the lease ends
            coordinator.finish()
            driver_time.exhausted = coordinator.exhausted and coordinator.in_flight == 0
    if coordinator.in_flight > 0 or not coordinator.exhausted:
        progress = coordinator.progress()
        raise Interrupted(
            f"sweep {spec.name}: stopped with {progress.finished} of {progress.trials} trials done; "
            f"nothing is lost.\nContinue with `vae-search resume {spec.name}`, or run the same command again."
        )


@contextmanager
def hold_lease(store: Store, spec: SweepSpec, driver_time: DriverTime) -> Iterator[tuple[Lease, BegunSpec]]:
    """Hold the sweep's lease for the length of the block; its heartbeat carries the driver time.

    Yields the lease, and the spec that the driver begins with: `spec`, with what was set while the sweep ran.
    """
    began: list[BegunSpec] = []

    def begin() -> dict[str, object]:
        began.append(begun_with(store, find_stored(store, spec.name), spec))
        return began[-1].to_record()

    lease = acquire(store, spec.name, purpose=Purpose.TRAIN, begin=begin, progress=driver_time.progress)
    try:
        yield lease, began[-1]
    finally:
        lease.release()


def stop_requested_by(signalled: threading.Event, lease: Lease) -> Callable[[], bool]:
    """True after a signal, or a request in the store; the store is looked at once a second."""
    looked_at_s = -STOP_POLL_S
    told = False

    def requested() -> bool:
        nonlocal looked_at_s, told
        if not signalled.is_set() and time.monotonic() - looked_at_s >= STOP_POLL_S:
            looked_at_s = time.monotonic()
            if lease.stop_requested():
                told = True
                signalled.set()
        if signalled.is_set() and not told:
            told = True
            lease.request_stop()  # the workers look for it, and save their epochs
        return signalled.is_set()

    return requested


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """SIGINT, SIGTERM and SIGHUP set the event; a second SIGINT interrupts at once.

    Only the main thread can have signals. SIGHUP stays ignored where it is, as under `nohup`.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        event.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def log_folder_of(store: Store, sweep: str) -> Iterator[Path]:
    """The folder that the driver's and the workers' log files are written to.

    A bucket has no files that grow. There it is a temporary folder of this machine, and its files are put into the
    store when the driver ends; after a driver that was killed they stay where they are for a week.
    """
    folder = store.local_path(SweepPaths(sweep).logs)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with owned_folder(LOGS) as folder:
        try:
            yield folder
        finally:
            try:
                for file in sorted(folder.glob("*.log")):
                    store.replace(f"{SweepPaths(sweep).logs}/{file.name}", file.read_bytes())
            except StoreUnavailable as trouble:  # it must not hide why the driver ends
                logger.warning("sweep %s: the log files stay in %s: %s", sweep, folder, trouble)
            else:
                shutil.rmtree(folder, ignore_errors=True)


class LogFileHandler(logging.FileHandler):
    """Handler of a log file whose disk may be full: lines that do not fit are lost, without a word.

    The store lies on the same disk, so that the driver tells of it in its own words; a traceback of the logging library
    for each line would bury them.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Drop the line."""

    def close(self) -> None:
        """Close the file; what is still in its buffer may be lost."""
        with suppress(OSError):
            super().close()


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send this package's log to the driver's own file while the block runs."""
    package = logging.getLogger("vae_search")
    handler = LogFileHandler(file)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    level = package.level
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(level)
        handler.close()
