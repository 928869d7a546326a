"""One driver's session: own the sweep, start Ray, train, and leave everything resumable."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.errors import Interrupted
from vae_search.runtime.ray_cluster import Slots, cluster_nodes, joined_cluster, local_cluster
from vae_search.runtime.store_probe import probe_store
from vae_search.runtime.tune_adapters import run_trials
from vae_search.search.capacity import check_capacity, local_capacity
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.lifecycle import (
    DriverTime,
    hold_lease,
    log_folder_of,
    logging_to,
    stop_requested_by,
    stop_signals,
)
from vae_search.search.messages import WorkerConfig
from vae_search.search.progress import Observer
from vae_search.search.running_trial import SweepContext
from vae_search.store import paths as layout
from vae_search.store.backends.base import Store
from vae_search.store.backends.retrying import RetryingStore
from vae_search.store.backends.uri import location_everywhere
from vae_search.store.leases.lease import driver_s_before
from vae_search.store.ledger.sweep_record import SweepRecord

logger = logging.getLogger(__name__)


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
    with stop_signals() as signalled:
        patient = RetryingStore(store, wait=signalled.wait)
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
) -> SweepCoordinator:
    """The driver, after all that it could do."""
    spec = record.spec
    driver_time = DriverTime(driver_s_before(store, spec.name), spec.budget.minutes)
    known_room = local_capacity(spec.resources) if address is None else 1
    slots = Slots(spec.resources, before=known_room, monotonic=time.monotonic)
    with (
        hold_lease(store, spec, driver_time) as lease,
        log_folder_of(store, spec.name) as folder,
        logging_to(folder / f"driver-{lease.number:06d}.log"),
    ):
        driver = SweepCoordinator(
            SweepContext(
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
            on_trial_finished=observer.on_trial_finished,
        )
        if not driver.exhausted and not signalled.is_set():
            brief = WorkerConfig(
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
                    stop_requested=stop_requested_by(signalled, lease),
                    scratch=scratch,
                )
            driver.compact()
        driver_time.exhausted = driver.exhausted and driver.in_flight == 0
        return driver


@contextmanager
def _cluster(
    brief: WorkerConfig, store: Store, address: str | None, data_bytes: int, observer: Observer
) -> Iterator[Path]:
    """A cluster that can train the sweep, for the length of the block; yields a scratch folder of this machine."""
    resources = brief.spec.resources
    if address is None:
        observer.on_phase("starting Ray")
        cluster = local_cluster(cpus=local_capacity(resources) * resources.cpus_per_trial, data_bytes=data_bytes)
    else:
        observer.on_phase("joining the cluster")
        cluster = joined_cluster(address)
    with cluster as scratch:
        nodes = cluster_nodes()
        if address is None:
            check_capacity(nodes, [], resources)
        else:
            probe_store(store, nodes, nonce=lambda: secrets.token_hex(8))
        observer.on_phase("training")
        yield scratch
