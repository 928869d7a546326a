"""Probe of the store from the nodes of a cluster: each must write to the store that the driver reads.

All nodes that are there when a sweep starts are asked at once. One that joins later shows it when its first worker
begins.
"""

import logging
from collections.abc import Callable, Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vae_search.errors import NodeTrouble, NotFound, StoreUnavailable, VaeSearchError
from vae_search.search.capacity import NodeCapacity
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store, prove_exclusive
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.uri import location_everywhere, open_store
from vae_search.store.paths import SweepPaths

logger = logging.getLogger(__name__)

PROBE_S = 60.0  # for all nodes together; a worker process may have to start first


def probe_store(store: Store, nodes: Sequence[NodeCapacity], *, nonce: Callable[[], str]) -> dict[str, str]:
    """Let every node write a file that is read, and removed, here. Needs a connected Ray.

    Args:
        nonce: sixteen hexadecimal digits, others each time.

    Returns:
        Trouble by node: it does not answer, cannot write to the store, or writes to another place.

    Raises:
        NodeTrouble: Every node is in trouble; the first is named.
        StoreUnavailable: The store cannot be read here.
    """
    contents = {node.node_id: to_json_bytes({"node": node.node_id, "nonce": nonce()}) for node in nodes}
    paths = {node.node_id: store_paths.probe(nonce()) for node in nodes}
    try:
        written = {
            node_id: _write.options(  # needs no core, and must not wait for one
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
            ).remote(location_everywhere(store), paths[node_id], content)
            for node_id, content in contents.items()
        }
        ray.wait(list(written.values()), num_returns=max(1, len(written)), timeout=PROBE_S)
        found = {
            node_id: _trouble(store, reference, paths[node_id], contents[node_id])
            for node_id, reference in written.items()
        }
    finally:
        for path in paths.values():
            store.remove(path)
    troubles = {node_id: trouble for node_id, trouble in found.items() if trouble is not None}
    if troubles and len(troubles) == len(nodes):
        node_id, trouble = next(iter(troubles.items()))
        raise NodeTrouble(f"node {node_id[:12]}: {trouble}")
    return troubles


def can_write(store: Store) -> bool:
    """True if this process can write to the store."""
    try:
        prove_exclusive(store)
    except StoreUnavailable as trouble:
        logger.warning("the driver cannot reach the store: %s", trouble)
        return False
    return True


def check_same_store(store: Store, sweep: str, lease: int) -> None:
    """Check that a worker sees the store in which its driver holds the lease; on nodes that joined later as well.

    Raises:
        NodeTrouble: It is another one here.
        StoreUnavailable: It cannot be read.
    """
    try:
        store.read(SweepPaths(sweep).lease(lease))
    except NotFound as error:
        raise NodeTrouble(
            f"the store {store.location} is another one there: the driver's lease is not in it. "
            "Give a folder that all nodes share, or --store s3://bucket/prefix."
        ) from error


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _write(location: str, path: str, content: bytes) -> str | None:
    """Write to the store from this node; the trouble in words, None if there is none."""
    try:
        open_store(location).create(path, content)
    except VaeSearchError as error:
        return str(error)
    return None


def _trouble(store: Store, reference: "ray.ObjectRef[str | None]", path: str, content: bytes) -> str | None:
    """Trouble of a node that was asked to write, in words; None if there is none."""
    try:
        told = ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return f"does not answer within {PROBE_S:g} s. Look at `ray status`."
    except ray.exceptions.RayError as error:
        return f"cannot be used: {_last_line(error)}"
    if told is not None:
        return f"cannot write to the store: {told}"
    try:
        found: bytes | None = store.read(path)
    except NotFound:
        found = None
    if found == content:
        return None
    return (
        f"what it writes to {store.location} does not arrive here: that folder is its own disk's.\n"
        "Give a folder that all nodes share, or --store s3://bucket/prefix."
    )


def _last_line(error: Exception) -> str:
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)
