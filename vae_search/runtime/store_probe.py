"""Probe of the store from every node of a cluster: each must write to the store that the driver reads."""

from collections.abc import Callable, Sequence

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vae_search.errors import ClusterTrouble, NotFound, VaeSearchError
from vae_search.search.capacity import NodeCapacity
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.uri import location_everywhere, open_store

PROBE_S = 60.0  # for all nodes together; a worker process may have to start first


def probe_store(store: Store, nodes: Sequence[NodeCapacity], *, nonce: Callable[[], str]) -> None:
    """Let every node write a file that is read, and removed, here. Needs a connected Ray.

    Args:
        nonce: sixteen hexadecimal digits, others each time.

    Raises:
        ClusterTrouble: A node cannot write to the store, or writes to another place; it is named.
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
        ray.wait(list(written.values()), num_returns=len(written), timeout=PROBE_S)
        for node_id, reference in written.items():
            _check(store, node_id, reference, paths[node_id], contents[node_id])
    finally:
        for path in paths.values():
            store.remove(path)


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _write(location: str, path: str, content: bytes) -> str | None:
    """Write to the store from this node; the trouble in words, None if there is none."""
    try:
        open_store(location).create(path, content)
    except VaeSearchError as error:
        return str(error)
    return None


def _check(store: Store, node_id: str, reference: "ray.ObjectRef[str | None]", path: str, content: bytes) -> None:
    node = f"node {node_id[:12]}"
    try:
        trouble = ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError as error:
        raise ClusterTrouble(f"{node}: does not answer within {PROBE_S:g} s. Look at `ray status`.") from error
    except ray.exceptions.RayError as error:
        raise ClusterTrouble(f"{node}: cannot be used: {_last_line(error)}") from error
    if trouble is not None:
        raise ClusterTrouble(f"{node}: cannot write to the store: {trouble}")
    try:
        found: bytes | None = store.read(path)
    except NotFound:
        found = None
    if found != content:
        raise ClusterTrouble(
            f"{node}: what it writes to {store.location} does not arrive here: that folder is its own disk's.\n"
            "Give a folder that all nodes share, or --store s3://bucket/prefix."
        )


def _last_line(error: Exception) -> str:
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)
