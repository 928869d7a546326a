"""An object that lives on a worker node of a cluster, for long computations that the head must not do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

from vae_search.errors import ClusterTrouble, VaeSearchError
from vae_search.runtime.cluster.gcs import grows
from vae_search.runtime.process_state import driver_process, set_for_worker
from vae_search.runtime.ray_cluster import cluster_nodes, joined_cluster
from vae_search.search.capacity import CPU, GPU, MEMORY, check_capacity, needs
from vae_search.spec.sections import Resources

RESTARTS = 3  # on other nodes, where one is lost; what was asked is asked again


def ray_options(resources: Resources) -> dict[str, Any]:
    """Resources of a trial, as options of a Ray task or actor."""
    wanted = dict(needs(resources))
    return {
        "num_cpus": wanted.pop(CPU),
        "num_gpus": wanted.pop(GPU, None),
        "memory": wanted.pop(MEMORY, None),
        "resources": wanted,
        "label_selector": dict(resources.labels) or None,
    }


@contextmanager
def on_worker_node(
    make: Callable[..., object], *arguments: object, address: str, resources: Resources
) -> Iterator[Callable[..., Any]]:
    """Make an object where a trial would run, without its GPU; for the length of the block.

    Args:
        make: returns the object; called there.
        arguments: of `make`; large arrays travel once.
        address: of the cluster, see `joined_cluster`.
        resources: what a trial takes. The object waits until a node has that free.

    Yields:
        A function that calls a method of the object by its name, and returns or raises what that does.

    Raises:
        ClusterTrouble: The cluster cannot be joined, or its nodes are lost one after another.
    """
    without_gpu = resources.model_copy(update={"gpus_per_trial": 0.0})
    options = {**ray_options(without_gpu), "max_restarts": RESTARTS, "max_task_retries": RESTARTS}
    with driver_process(), _joined(address) as grown:
        if not grown:  # else the cluster adds a node
            check_capacity(cluster_nodes(), without_gpu)
        holder = ray.remote(_Holder).options(**options).remote(make, *arguments)

        def call(method: str, *given: object) -> Any:
            try:
                answer = ray.get(holder.call.remote(method, *given))
            except ray.exceptions.RayTaskError:
                raise  # a bug of ours, with its traceback
            except ray.exceptions.RayError as error:
                why = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise ClusterTrouble(
                    f"{address}: the worker that was asked for `{method}` was lost: {why}\n"
                    "Nothing was recorded. The same command tries again."
                ) from error
            if isinstance(answer, VaeSearchError):
                raise answer
            return answer

        yield call


@contextmanager
def _joined(address: str) -> Iterator[bool]:
    """Be on the cluster for the length of the block; yields whether it grows, which is asked before joining."""
    grown = grows(address)
    with joined_cluster(address):
        yield grown


class _Holder:
    """The actor around the object."""

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        set_for_worker()
        self._held = make(*arguments)

    def call(self, method: str, *given: object) -> object:
        """Result of a method; an error that is none of our bugs is returned as it is."""
        try:
            return getattr(self._held, method)(*given)
        except VaeSearchError as error:
            return error
