"""A sweep on Ray: start or join a cluster, run the trials on it, and leave both as they were."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_search.core.machine import this_machine
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.runtime.process_state import driver_process
from vae_search.runtime.ray_cluster import Slots, cluster_nodes, joined_cluster, local_cluster, object_store_bytes
from vae_search.runtime.store_probe import probe_store
from vae_search.runtime.tune_adapters import run_trials
from vae_search.search.capacity import LocalCapacity, check_capacity, check_shared_memory, local_capacity
from vae_search.search.driver_lifecycle import DriverSession, run_sweep
from vae_search.search.messages import TRIALS_PER_PROCESS, WorkerConfig
from vae_search.search.progress import Observer
from vae_search.spec.sections import Resources
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import location_everywhere
from vae_search.store.ledger.sweep_record import SweepRecord
from vae_search.store.paths import SweepPaths


def search(
    record: SweepRecord,
    *,
    task: TrainingTask,
    judge_task: JudgeTask,
    store: Store,
    observer: Observer,
    address: str | None = None,
    trials_per_process: int = TRIALS_PER_PROCESS,
) -> None:
    """Train the sweep's trials until its budget is used.

    Args:
        address: of the cluster to train on, see `joined_cluster`; None: a Ray of our own on this machine.
        trials_per_process: after so many a worker is replaced by a fresh one.

    Raises:
        ClusterTrouble: Ray cannot be started or joined, or no node could ever hold a trial.
        Conflict: Another driver owns the sweep.
        Interrupted: Somebody asked to stop; everything is resumable.
        VaeSearchError: What else ended it before its time; see `errors.py`.
    """
    spec = record.spec
    data_bytes = task.train.nbytes + task.select.nbytes + judge_task.images.nbytes
    local = local_capacity(spec.resources, this_machine(), data_bytes=data_bytes) if address is None else None
    slots = Slots(spec.resources, before=local.trials if local is not None else 1, monotonic=time.monotonic)

    def train(session: DriverSession) -> None:
        coordinator = session.coordinator
        config = WorkerConfig(
            spec=spec,
            store=location_everywhere(session.store),
            lease=session.lease,
            rungs=coordinator.rungs,
            log_folder=None
            if store.local_path(SweepPaths(spec.name).logs) is None
            else str(session.log_folder.absolute()),
            trials_per_process=trials_per_process,
        )
        with (
            _own_cluster(spec.resources, local, data_bytes=data_bytes, observer=observer)
            if local is not None
            else _cluster(spec.resources, session.store, str(address), observer) as scratch,
            observer.watching(coordinator.progress),
        ):
            run_trials(
                coordinator,
                config=config,
                task=task,
                judge_task=judge_task,
                limit=slots.limit,
                stop_requested=session.stop_requested,
                scratch=scratch,
            )

    with driver_process():
        run_sweep(record, store=store, observer=observer, slots=slots.count, train=train)


@contextmanager
def _own_cluster(resources: Resources, local: LocalCapacity, *, data_bytes: int, observer: Observer) -> Iterator[Path]:
    """A Ray of our own for the length of the block; yields a scratch folder of this machine."""
    if slow := check_shared_memory(this_machine(), object_store_bytes(data_bytes)):
        observer.on_phase(slow)
    observer.on_phase(f"starting Ray: {local.sum}" if local.lowered else "starting Ray")
    with local_cluster(cpus=local.trials * resources.cpus_per_trial, data_bytes=data_bytes) as scratch:
        check_capacity(cluster_nodes(), resources)
        observer.on_phase("training")
        yield scratch


@contextmanager
def _cluster(resources: Resources, store: Store, address: str, observer: Observer) -> Iterator[Path]:
    """The cluster at `address` for the length of the block; yields a scratch folder of this machine."""
    observer.on_phase("joining the cluster")
    with joined_cluster(address) as scratch:
        probe_store(store, cluster_nodes(), nonce=lambda: secrets.token_hex(8))
        observer.on_phase("training")
        yield scratch
