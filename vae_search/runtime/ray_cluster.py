"""Starting, joining and leaving Ray: a private cluster on this machine, or the one whose address the user gave."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray
from ray._private.state import state as ray_state

from vae_search.core.scratch import folder_for_sockets, scratch_folder
from vae_search.errors import ClusterTrouble, Conflict
from vae_search.runtime.cluster import gcs
from vae_search.runtime.private_ray import ImportsOfDriver, own_sessions
from vae_search.runtime.process_state import own_signal_handlers, set_for_private_cluster
from vae_search.search.capacity import NodeCapacity, capped, cluster_capacity, in_flight_limit
from vae_search.spec.sections import Resources

LOOK_EVERY_S = 1.0  # at the cluster's nodes
OBJECT_STORE_BYTES = 256 * 1024**2  # beside the images: reports and Tune's own objects are small


def refuse_second_ray() -> None:
    """Refuse a process in which somebody has called `ray.init`: it can be connected to one Ray at a time.

    Raises:
        Conflict: It is so.
    """
    if ray.is_initialized():
        raise Conflict(
            "this process is connected to a Ray already, and a sweep needs its own connection.\n"
            "Call ray.shutdown() first, and give the cluster's address= to train on it; or start the sweep in another "
            "process."
        )


@contextmanager
def local_cluster(*, cpus: int, data_bytes: int) -> Iterator[Path]:
    """A Ray of our own on this machine for the length of the block; yields a scratch folder that goes with it.

    Other users of this machine reach its ports, so the cluster takes a token that only this process and its children
    know. The environment is changed for that; `process_state.driver_process` restores it.

    Args:
        cpus: cores to offer; no more trials run at once than fit into them.
        data_bytes: size of what goes into the object store.

    Raises:
        ClusterTrouble: Ray cannot be started.
    """
    with scratch_folder(parent=folder_for_sockets()) as scratch:
        set_for_private_cluster()
        with _connected(
            "Ray cannot be started on this machine: {why}",
            address="local",
            num_cpus=cpus,
            _node_ip_address="127.0.0.1",
            object_store_memory=OBJECT_STORE_BYTES + 2 * data_bytes,
            include_dashboard=False,
            _temp_dir=str(scratch / "ray"),
            private_folder=scratch,
        ):
            yield scratch


@contextmanager
def _connected(trouble: str, *, private_folder: Path | None = None, **options: object) -> Iterator[None]:
    """Connected to Ray for the length of the block.

    Args:
        trouble: what a user is told if it fails, with `{why}` in it.
        private_folder: of a Ray that is started for this driver; None: one that runs already is joined.
        options: of `ray.init`.
    """
    is_private = private_folder is not None
    with own_sessions(private_folder) if private_folder is not None else nullcontext():
        try:
            with own_signal_handlers():
                ray.init(
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    job_config=ImportsOfDriver(private=is_private),
                    **options,
                )
        except (RuntimeError, ConnectionError, TimeoutError, OSError, ValueError) as error:
            raise ClusterTrouble(trouble.format(why=str(error).splitlines()[0])) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def joined_cluster(address: str) -> Iterator[Path]:
    """The cluster at `address` for the length of the block; yields a scratch folder of this machine.

    Args:
        address: `host:port` of its head, or `auto` for the one that this machine is a node of.

    Raises:
        ClusterTrouble: It cannot be reached, or does not let us in.
    """
    place = gcs.gcs_address(address)
    gcs.connect_head(place)
    with (
        scratch_folder() as scratch,
        _connected(f"{place}: {{why}}\nIs this machine a node of it?", address=place),
    ):
        yield scratch


def cluster_nodes() -> list[NodeCapacity]:
    """The nodes of the connected cluster that may take trials now; those that are about to leave are left out."""
    leaving = ray_state.get_draining_nodes()
    return [
        NodeCapacity(node_id=node["NodeID"], resources=node["Resources"], labels=node.get("Labels", {}))
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] not in leaving
    ]


def is_draining(node_id: str) -> bool:
    """True if the node has been told that it will go: a spot machine, say."""
    return node_id in ray_state.get_draining_nodes()


class Slots:
    """Number of trials that run at once, looked up now and then: nodes come and go.

    Args:
        before: trials at once, as far as is known before a cluster is connected.
    """

    def __init__(self, resources: Resources, *, before: int, monotonic: Callable[[], float]) -> None:
        self._resources = resources
        self._monotonic = monotonic
        self._capacity = before
        self._looked_at_s = -LOOK_EVERY_S

    def count(self) -> int:
        """Trials at once; for forecasts."""
        return max(1, capped(self._look(), self._resources))

    def limit(self) -> int:
        """Trials that may be in flight."""
        return in_flight_limit(self._look(), self._resources)

    def _look(self) -> int:
        if ray.is_initialized() and self._monotonic() - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = self._monotonic()
            self._capacity = cluster_capacity(cluster_nodes(), self._resources)
        return self._capacity
