"""A sweep on Ray: start or join a cluster, run the trials on it, and leave both as they were."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from vae_search.core.machine import this_machine
from vae_search.data.random_access.mapped_images import resident_bytes
from vae_search.data.tasks import HeldTasks, JudgeTask, Tasks, TrainingTask
from vae_search.runtime.cluster.autoscaler import asking_for_nodes
from vae_search.runtime.cluster.gcs import grows
from vae_search.runtime.node_wait import await_node
from vae_search.runtime.process_state import driver_process
from vae_search.runtime.ray_cluster import (
    Slots,
    cluster_nodes,
    joined_cluster,
    local_cluster,
    object_store_bytes,
    refuse_second_ray,
)
from vae_search.runtime.store_probe import probe_store
from vae_search.runtime.tune.adapters import run_trials
from vae_search.runtime.tune.worker_recovery import WorkerRecovery, recovery_for
from vae_search.search.capacity import (
    LocalCapacity,
    check_capacity,
    check_shared_memory,
    local_capacity,
    slots_to_ask_for,
)
from vae_search.search.driver_lifecycle import DriverSession, SweepStart, run_sweep
from vae_search.search.messages import TRIALS_PER_PROCESS, WorkerConfig
from vae_search.search.progress import Observer
from vae_search.spec.own_code.code_loading import provided
from vae_search.spec.sections import Resources
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import location_everywhere
from vae_search.store.paths import SweepPaths


def search(
    start: SweepStart,
    *,
    task: TrainingTask,
    judge_task: JudgeTask,
    store: Store,
    observer: Observer,
    address: str | None = None,
    wait_s: float | None = None,
    trials_per_process: int = TRIALS_PER_PROCESS,
    on_node: Tasks | None = None,
) -> None:
    """Train the sweep's trials until its budget is used.

    Args:
        address: of the cluster to train on, see `joined_cluster`; None: a Ray of our own on this machine.
        wait_s: for a node of the cluster that holds a trial, see `await_node`.
        trials_per_process: after so many a worker is replaced by a fresh one.
        on_node: opens the same tasks where a worker runs; None: their images travel there.

    Raises:
        ClusterTrouble: Ray cannot be started or joined, or no node could ever hold a trial.
        Conflict: Another driver owns the sweep, or this process is connected to a Ray already.
        Interrupted: Somebody asked to stop; everything is resumable.
        VaeSearchError: What else ended it before its time; see `errors.py`.
    """
    refuse_second_ray()
    spec = start.record.spec
    data_bytes = task.memory_bytes + resident_bytes(judge_task.images)
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
            code=provided(start.record.versions),
        )
        slots.training = lambda: coordinator.training
        slots.resources = lambda: session.control.resources

        def slots_to_ask() -> int:
            # At least one: confirm runs are issued when there is room for them, but need a node as well.
            in_flight = coordinator.claimed_slots
            left = max(1, coordinator.to_come + in_flight)
            resources = session.control.resources
            return slots_to_ask_for(left=left, in_flight=in_flight, free=slots.free(), resources=resources)

        recovery = recovery_for(session, spec, is_private=address is None, warn=observer.on_warning)
        slots.avoided = recovery.avoided
        with (
            _own_cluster(spec.resources, local, data_bytes=data_bytes, observer=observer)
            if local is not None
            else _cluster(
                spec.resources, session, str(address), observer, recovery, wait_s=wait_s, slots=slots_to_ask
            ) as scratch
        ):
            if scratch is None or session.stop_requested():  # while Ray started
                return
            observer.on_phase("training")
            with observer.watching(coordinator.progress):
                run_trials(
                    coordinator,
                    config=config,
                    tasks=on_node or HeldTasks(task=task, judge_task=judge_task),
                    limit=slots.limit,
                    stop_requested=session.stop_requested,
                    scratch=scratch,
                    recovery=recovery,
                    most_cpus=(local.room if local is not None else 1) * spec.resources.cpus_per_trial,
                )

    with driver_process():
        run_sweep(
            start, store=store, observer=observer, slots=slots.count, train=train, shares_machine=local is not None
        )


@contextmanager
def _own_cluster(resources: Resources, local: LocalCapacity, *, data_bytes: int, observer: Observer) -> Iterator[Path]:
    """A Ray of our own for the length of the block; yields a scratch folder of this machine."""
    if slow := check_shared_memory(this_machine(), object_store_bytes(data_bytes)):
        observer.on_phase(slow)
    observer.on_phase(f"starting Ray: {local.sum}" if local.lowered else "starting Ray")
    with local_cluster(cpus=local.room * resources.cpus_per_trial, data_bytes=data_bytes) as scratch:
        check_capacity(cluster_nodes(), resources)
        yield scratch


@contextmanager
def _cluster(
    resources: Resources,
    session: DriverSession,
    address: str,
    observer: Observer,
    recovery: WorkerRecovery,
    *,
    wait_s: float | None,
    slots: Callable[[], int],
) -> Iterator[Path | None]:
    """The cluster at `address` for the length of the block, with a node at least that holds a trial.

    Yields a scratch folder of this machine; None if the sweep shall stop before a node has come.

    Args:
        slots: how many an autoscaler is asked for, beside those that trials in flight wait for.
    """
    observer.on_phase("joining the cluster")
    autoscaled = grows(address)  # before joining: it asks without a token as well
    asking = asking_for_nodes(resources, slots, avoided=recovery.avoided) if autoscaled else nullcontext()
    with joined_cluster(address) as scratch, asking:
        came = await_node(
            resources,
            wait_s=wait_s,
            grows=autoscaled,
            nodes=cluster_nodes,
            stop_requested=session.stop_requested,
            on_phase=observer.on_phase,
            monotonic=time.monotonic,
            sleep=session.signalled.wait,
        )
        if came:
            troubles = probe_store(session.store, cluster_nodes(), nonce=lambda: secrets.token_hex(8))
            for node_id, trouble in troubles.items():
                recovery.exclude(node_id, trouble)
        yield scratch if came else None
