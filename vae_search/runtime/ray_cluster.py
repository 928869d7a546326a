"""Starting, joining and leaving Ray: a private cluster on this machine, or the one whose address the user gave."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import ray
from ray._private.state import state as ray_state

from vae_search.core.scratch import folder_for_sockets, scratch_folder
from vae_search.errors import ClusterTrouble, Conflict
from vae_search.runtime.cluster import gcs
from vae_search.runtime.private_ray import ImportsOfDriver, own_sessions
from vae_search.runtime.process_state import own_signal_handlers, set_for_private_cluster
from vae_search.search.capacity import NodeCapacity, capped, cluster_capacity, in_flight_limit, trials_on
from vae_search.spec.sections import Resources

LOOK_EVERY_S = 1.0  # at the cluster's nodes
LATELY_S = 30.0  # within which a worker that has got its slot begins to train
OBJECT_STORE_BYTES = 256 * 1024**2  # beside the images: reports and Tune's own objects are small


def object_store_bytes(data_bytes: int) -> int:
    """Size of the object store for images of `data_bytes`: Ray may hold them twice while they are put."""
    return OBJECT_STORE_BYTES + 2 * data_bytes


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
            object_store_memory=object_store_bytes(data_bytes),
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


def usable_nodes(resources: Resources) -> list[str]:
    """Ids of the nodes of the connected cluster that could hold a trial."""
    return [node.node_id for node in cluster_nodes() if trials_on(node, resources) > 0]


def is_draining(node_id: str) -> bool:
    """True if the node has been told that it will go: a spot machine, say."""
    return node_id in ray_state.get_draining_nodes()


def free_nodes() -> list[NodeCapacity]:
    """The nodes that may take trials, each with what nobody has reserved of it."""
    free = ray_state.available_resources_per_node()
    return [replace(node, resources=free.get(node.node_id, {})) for node in cluster_nodes()]


def node_of_actor(actor_id: str) -> str | None:
    """Id of the node that an actor was started on; None if that is not known."""
    return ray_state.actor_table(actor_id, None, None).get("Address", {}).get("NodeID") or None


class Slots:
    """Number of trials of one sweep that run at once, looked up now and then: nodes and other sweeps come and go.

    `training` counts the sweep's own running trials, `avoided` names nodes that get none, `resources` are those of a
    trial and their limit by now; set them before the first look at a connected cluster.

    Args:
        before: trials at once, as far as is known before a cluster is connected.
    """

    def __init__(self, resources: Resources, *, before: int, monotonic: Callable[[], float]) -> None:
        self.training: Callable[[], int] = int
        self.avoided: Callable[[], Collection[str]] = tuple
        self.resources: Callable[[], Resources] = lambda: resources
        self._monotonic = monotonic
        self._before = before
        self._free = 0
        self._seen: list[tuple[float, int]] = []  # when, and how many slots were in use by us or free

    def count(self) -> int:
        """Trials at once; for forecasts."""
        return max(1, capped(self._reachable(), self.resources()))

    def limit(self) -> int:
        """Trials that may be in flight."""
        return in_flight_limit(self._reachable(), self.resources())

    def free(self) -> int:
        """Slots that nobody uses."""
        self._reachable()
        return self._free

    def _reachable(self) -> int:
        """Most slots that were ours or free lately: a worker that starts has its slot, but trains nothing yet."""
        now_s = self._monotonic()
        if ray.is_initialized() and (not self._seen or now_s - self._seen[-1][0] >= LOOK_EVERY_S):
            avoided = self.avoided()
            nodes = [node for node in free_nodes() if node.node_id not in avoided]
            self._free = cluster_capacity(nodes, self.resources())
            self._seen = [seen for seen in self._seen if now_s - seen[0] < LATELY_S]
            self._seen.append((now_s, self.training() + self._free))
        return max((slots for _, slots in self._seen), default=self._before)
