"""One driver's session: own the sweep, start Ray, train, and leave everything resumable."""

import logging
import math
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.errors import Interrupted, StoreUnavailable
from vae_search.runtime.ray_cluster import Slots, cluster_nodes, joined_cluster, local_cluster
from vae_search.runtime.store_probe import probe_store
from vae_search.runtime.tune_adapters import run_trials
from vae_search.search.capacity import check_room, local_room
from vae_search.search.coordinator import Driver
from vae_search.search.messages import WorkerBrief
from vae_search.search.progress import Observer
from vae_search.search.running_trial import Provenance
from vae_search.search.worker.log_file import LOG_FORMAT
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store import paths as layout
from vae_search.store.backends.base import Store
from vae_search.store.backends.retrying import PatientStore
from vae_search.store.backends.uri import location_everywhere
from vae_search.store.leases.lease import DRIVER_S, EXHAUSTED, Lease, acquire, driver_s_before
from vae_search.store.ledger.sweep_record import SweepRecord

logger = logging.getLogger(__name__)

STOP_POLL_S = 1.0


class _DriverTime:
    """Seconds that drivers have spent on the sweep, this and earlier ones; `budget.minutes` is measured in them.

    `exhausted` says whether the driver has nothing left to do; both are shown by the lease's heartbeat.
    """

    def __init__(self, before_s: float, budget_minutes: float | None) -> None:
        self.exhausted = False
        self._before_s = before_s
        self._limit_s = None if budget_minutes is None else 60.0 * budget_minutes
        self._started_s = time.monotonic()

    def used_s(self) -> float:
        return self._before_s + time.monotonic() - self._started_s

    def progress(self) -> dict[str, object]:
        return {DRIVER_S: self.used_s(), EXHAUSTED: self.exhausted}

    def left_s(self) -> float:
        return math.inf if self._limit_s is None else self._limit_s - self.used_s()


def search(
    record: SweepRecord,
    *,
    task: TrainingTask,
    judge_task: JudgeTask,
    store: Store,
    observer: Observer,
    address: str | None = None,
) -> None:
    """Train the sweep's trials until its budget is used.

    Args:
        address: of the cluster to train on, see `joined_cluster`; None: a Ray of our own on this machine.

    Raises:
        ClusterTrouble: Ray cannot be started or joined, or no node could ever hold a trial.
        Conflict: Another driver owns the sweep.
        Interrupted: Somebody asked to stop; everything is resumable.
        VaeSearchError: What else ended it before its time; see `errors.py`.
    """
    spec = record.spec
    with _stop_signals() as signalled:
        patient = PatientStore(store, wait=signalled.wait)
        driver = _drive(
            record,
            task=task,
            judge_task=judge_task,
            store=patient,
            observer=observer,
            signalled=signalled,
            address=address,
        )
    if driver.in_flight > 0 or not driver.exhausted:
        raise Interrupted(
            f"sweep {spec.name}: stopped with {driver.progress().finished} of {spec.budget.trials} trials done; "
            f"nothing is lost.\nContinue with `vae-search resume {spec.name}`, or run the same command again."
        )


def _drive(
    record: SweepRecord,
    *,
    task: TrainingTask,
    judge_task: JudgeTask,
    store: Store,
    observer: Observer,
    signalled: threading.Event,
    address: str | None,
) -> Driver:
    """The driver, after all that it could do."""
    spec = record.spec
    driver_time = _DriverTime(driver_s_before(store, spec.name), spec.budget.minutes)
    known_room = local_room(spec.resources) if address is None else 1
    slots = Slots(spec.resources, before=known_room, monotonic=time.monotonic)
    with (
        _owning(store, spec, driver_time) as lease,
        _log_folder(store, spec.name) as folder,
        _logging_to(folder / f"driver-{lease.number:06d}.log"),
    ):
        driver = Driver(
            Provenance(
                spec=spec,
                lease=lease.number,
                comparability_key=record.comparability_key,
                versions=record.versions,
            ),
            store=store,
            lease=lease,
            now=lambda: datetime.now(UTC),
            seconds_left=driver_time.left_s,
            slots=slots.count,
            on_landed=observer.on_landed,
        )
        if not driver.exhausted and not signalled.is_set():
            brief = WorkerBrief(
                spec=spec,
                store=location_everywhere(store),
                lease=lease.number,
                rungs=driver.rungs,
                log_folder=None if store.local_path(layout.logs(spec.name)) is None else str(folder.absolute()),
            )
            data_bytes = task.train.nbytes + task.select.nbytes + judge_task.images.nbytes
            with _cluster(brief, store, address, data_bytes, observer) as scratch, observer.watching(driver.progress):
                run_trials(
                    driver,
                    brief=brief,
                    task=task,
                    judge_task=judge_task,
                    limit=slots.limit,
                    stop_requested=_any_stop(signalled, lease),
                    scratch=scratch,
                )
            driver.compact()
        driver_time.exhausted = driver.exhausted and driver.in_flight == 0
        return driver


@contextmanager
def _cluster(
    brief: WorkerBrief, store: Store, address: str | None, data_bytes: int, observer: Observer
) -> Iterator[Path]:
    """A cluster that can train the sweep, for the length of the block; yields a scratch folder of this machine."""
    resources = brief.spec.resources
    if address is None:
        observer.on_phase("starting Ray")
        cluster = local_cluster(cpus=local_room(resources) * resources.cpus_per_trial, data_bytes=data_bytes)
    else:
        observer.on_phase("joining the cluster")
        cluster = joined_cluster(address)
    with cluster as scratch:
        nodes = cluster_nodes()
        if address is None:
            check_room(nodes, [], resources)
        else:
            probe_store(store, nodes, nonce=lambda: secrets.token_hex(8))
        observer.on_phase("training")
        yield scratch


@contextmanager
def _owning(store: Store, spec: SweepSpec, driver_time: _DriverTime) -> Iterator[Lease]:
    """Hold the sweep's lease for the length of the block; its heartbeat carries the driver time."""
    lease = acquire(store, spec.name, spec=spec, progress=driver_time.progress)
    try:
        yield lease
    finally:
        lease.release()


def _any_stop(signalled: threading.Event, lease: Lease) -> Callable[[], bool]:
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
def _stop_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event; a second SIGINT interrupts at once. Only the main thread can have signals."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _log_folder(store: Store, sweep: str) -> Iterator[Path]:
    """The folder that the driver's and the workers' log files are written to.

    A bucket has no files that grow. There it is a temporary folder of this machine, and its files are put into the
    store when the driver ends; after a driver that was killed they stay where they are.
    """
    folder = store.local_path(layout.logs(sweep))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix="vae-logs-"))
    try:
        yield folder
    finally:
        try:
            for file in sorted(folder.iterdir()):
                store.replace(f"{layout.logs(sweep)}/{file.name}", file.read_bytes())
        except StoreUnavailable as trouble:  # it must not hide why the driver ends
            logger.warning("sweep %s: the log files stay in %s: %s", sweep, folder, trouble)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Send this package's log to the driver's own file while the block runs."""
    package = logging.getLogger("vae_search")
    handler = logging.FileHandler(file)
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
