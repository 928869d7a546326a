"""Probe of the speed of the workers that a sweep will have: on a Ray of this machine, or on the nodes of a cluster."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import ray

from vae_search.core.machine import this_machine
from vae_search.data.random_access.mapped_images import resident_bytes
from vae_search.data.tasks import HeldTasks, JudgeTask, Tasks, TrainingTask
from vae_search.runtime.cluster.autoscaler import asking_for_nodes
from vae_search.runtime.cluster.gcs import grows
from vae_search.runtime.node_wait import await_node
from vae_search.runtime.process_state import driver_process, import_hidden, set_for_worker
from vae_search.runtime.ray_cluster import cluster_nodes, free_nodes, joined_cluster, local_cluster, refuse_second_ray
from vae_search.runtime.remote_object import ray_options
from vae_search.search.capacity import capped, cluster_capacity, local_capacity
from vae_search.search.planning.speed import ProbeResult
from vae_search.search.progress import Observer
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.own_code.code_loading import provide, provided
from vae_search.spec.own_code.own_code import OwnCode
from vae_search.spec.sweep_spec import SweepSpec

logger = logging.getLogger(__name__)

MOST_WORKERS = 16  # that are probed at once
START_S = 120.0  # that a worker may take beyond the limit: to start, and to compile what it trains
LONGEST_EPOCH_S = 600.0  # an epoch cannot be interrupted


def probe_workers(
    spec: SweepSpec,
    drawn: Sequence[Mapping[str, ParamValue]],
    task: TrainingTask,
    judge_task: JudgeTask,
    *,
    observer: Observer,
    address: str | None,
    limit_s: float,
    on_node: Tasks | None = None,
    wait_s: float | None = None,
) -> tuple[list[ProbeResult], int]:
    """Time configs on all workers at once; what they have found, and how many workers there are.

    Nothing is found where no node answers in time. On a cluster a node that holds a trial is waited for, as by a sweep.

    Args:
        drawn: configs of the space; the workers divide them.
        address: of the cluster to train on; None: a Ray of our own on this machine.
        limit_s: after which no worker begins another epoch.
        on_node: opens the same tasks where a worker runs; None: their images travel there.
        wait_s: for a node of the cluster that holds a trial, see `await_node`.

    Raises:
        ClusterTrouble: Ray cannot be started or joined, or no node that holds a trial came in time.
    """
    refuse_second_ray()
    data_bytes = task.memory_bytes + resident_bytes(judge_task.images)
    local = local_capacity(spec.resources, this_machine(), data_bytes=data_bytes) if address is None else None
    place = (
        local_cluster(cpus=local.room * spec.resources.cpus_per_trial, data_bytes=data_bytes)
        if local is not None
        else joined_cluster(str(address))
    )
    with driver_process(), place:
        if address is not None:
            _await_node(spec, address, observer, wait_s=wait_s)
        workers = local.trials if local is not None else _workers_of(spec)
        tasks = ray.put(on_node or HeldTasks(task=task, judge_task=judge_task))
        count = min(workers, MOST_WORKERS)
        probe = ray.remote(_probe).options(**ray_options(spec.resources), max_retries=0)
        asked = [
            probe.remote(spec, drawn, [*drawn[first:], *drawn[:first]], tasks, limit_s, provided())
            for first in range(count)
        ]
        done, _ = (
            ray.wait(asked, num_returns=max(1, count), timeout=START_S + limit_s + LONGEST_EPOCH_S)
            if asked
            else ([], [])
        )
        return [found for each in done if (found := _answer(each)) is not None], max(1, workers)


def _await_node(spec: SweepSpec, address: str, observer: Observer, *, wait_s: float | None) -> None:
    """Wait for a node of the connected cluster that holds a trial; an autoscaler is asked for it."""
    autoscaled = grows(address)
    asking = asking_for_nodes(spec.resources, lambda: 1, avoided=tuple) if autoscaled else nullcontext()
    with asking:
        await_node(
            spec.resources,
            wait_s=wait_s,
            grows=autoscaled,
            nodes=cluster_nodes,
            stop_requested=lambda: False,  # nobody owns the sweep yet; a signal ends this process
            on_phase=observer.on_phase,
            monotonic=time.monotonic,
            sleep=time.sleep,
        )


def _workers_of(spec: SweepSpec) -> int:
    """Trials that the connected cluster holds at once now, without what others have of it."""
    return capped(cluster_capacity(free_nodes() or cluster_nodes(), spec.resources), spec.resources)


def _probe(
    spec: SweepSpec,
    drawn: Sequence[Mapping[str, ParamValue]],
    timed: Sequence[Mapping[str, ParamValue]],
    tasks: Tasks,
    limit_s: float,
    code: Sequence[OwnCode],
) -> ProbeResult:
    """Probe in a process that Ray has started for it."""
    set_for_worker()
    with import_hidden("sklearn"):  # as in a trial's worker
        from vae_search.search.worker.speed_probe import probe_speed
    for each in code:
        provide(each)
    task, judge_task = tasks()
    return probe_speed(spec, drawn, timed, task, judge_task, limit_s=limit_s)


def _answer(reference: "ray.ObjectRef[ProbeResult]") -> ProbeResult | None:
    try:
        found: ProbeResult = ray.get(reference)
    except ray.exceptions.RayError as error:
        logger.warning("a worker could not be timed: %s", str(error).strip().splitlines()[-1:])
        return None
    return found
