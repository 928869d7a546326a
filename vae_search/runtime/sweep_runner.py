"""A sweep on Ray: start or join a cluster, run the trials on it, and leave both as they were."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.runtime.process_state import driver_process
from vae_search.runtime.ray_cluster import Slots, cluster_nodes, joined_cluster, local_cluster, refuse_second_ray
from vae_search.runtime.store_probe import probe_store
from vae_search.runtime.tune_adapters import run_trials
from vae_search.search.capacity import check_capacity, local_capacity
from vae_search.search.driver_lifecycle import DriverSession, run_sweep
from vae_search.search.messages import TRIALS_PER_PROCESS, WorkerConfig
from vae_search.search.progress import Observer
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
        Conflict: Another driver owns the sweep, or this process is connected to a Ray already.
        Interrupted: Somebody asked to stop; everything is resumable.
        VaeSearchError: What else ended it before its time; see `errors.py`.
    """
    refuse_second_ray()
    spec = record.spec
    known_capacity = local_capacity(spec.resources) if address is None else 1
    slots = Slots(spec.resources, before=known_capacity, monotonic=time.monotonic)

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
        data_bytes = task.train.nbytes + task.select.nbytes + judge_task.images.nbytes
        with (
            _cluster(config, session.store, address, data_bytes, observer) as scratch,
            observer.watching(coordinator.progress),
        ):
            if session.stop_requested():  # while Ray started
                return
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
def _cluster(
    config: WorkerConfig, store: Store, address: str | None, data_bytes: int, observer: Observer
) -> Iterator[Path]:
    """A cluster that can train the sweep, for the length of the block; yields a scratch folder of this machine."""
    resources = config.spec.resources
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
