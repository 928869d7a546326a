"""Autoscaler of a cluster: whether one runs, and the demand that brings nodes.

Demand is placement groups of one trial each. They wait like a trial, so both versions of Ray's autoscaler start nodes
for them, all in one boot. They belong to the driver's job: the demand of several sweeps adds up, and Ray removes it
with its driver, however that ends. `request_resources` has one value for a whole cluster, which stays after a crash.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import ray
from ray._raylet import (  # type: ignore[attr-defined]  # compiled
    GCS_AUTOSCALER_STATE_NAMESPACE,
    GCS_AUTOSCALER_V2_ENABLED_KEY,
    GcsClient,
)
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply
from ray.util.placement_group import (
    NODE_ID_LABEL_KEY,
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from vae_search.runtime.cluster.connectivity import adds_nodes
from vae_search.search.capacity import needs
from vae_search.spec.sections import Resources

logger = logging.getLogger(__name__)

STATUS_KEY = b"__autoscaling_status"  # of version 1; written by every head, whether it can add nodes or not
LOOK_EVERY_S = 1.0
QUIET_S = 10.0  # nodes that are being started still come
CREATED = "CREATED"


def autoscaler_runs(client: GcsClient, *, timeout_s: float) -> bool | None:
    """True if the cluster has an autoscaler that can add nodes; None if its head has not said so far."""
    enabled = client.internal_kv_get(
        GCS_AUTOSCALER_V2_ENABLED_KEY.encode(), GCS_AUTOSCALER_STATE_NAMESPACE.encode(), timeout=timeout_s
    )
    if enabled == b"1":
        reply = GetClusterStatusReply()
        reply.ParseFromString(client.get_cluster_status(timeout_s=timeout_s))
        # Nodes that an autoscaler has started, the head among them, say of which type they are; others do not.
        return any(node.ray_node_type_name for node in reply.cluster_resource_state.node_states)
    status = client.internal_kv_get(STATUS_KEY, None, timeout=timeout_s)
    return None if not status else adds_nodes(json.loads(status).get("autoscaler_report", {}).get("node_type_mapping"))


class NodeDemand:
    """Placement groups of one trial each that wait for nodes.

    None asks for a node that is avoided. One that gets its place is removed at once, with all others, so that a trial
    can have the slot; and for a while none is made again, or the demand of several sweeps would pass the slot to and
    fro before a trial gets it.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        monotonic: Callable[[], float],
        avoided: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._bundle = needs(resources)
        self._labels = dict(resources.labels)
        self._avoided = avoided
        self._selector = self._labels
        self._monotonic = monotonic
        self._quiet_until_s = -math.inf
        self._waiting: list[PlacementGroup] = []

    def ask_for(self, slots: int) -> None:
        """Let so many slots be waited for; none if one of them came lately."""
        states = placement_group_table() if self._waiting else {}
        if any(states.get(group.id.hex(), {}).get("state") == CREATED for group in self._waiting):
            self._quiet_until_s = self._monotonic() + QUIET_S
        if self._monotonic() < self._quiet_until_s:
            slots = 0
        nodes = sorted(self._avoided())
        selector = self._labels | ({NODE_ID_LABEL_KEY: f"!in({','.join(nodes)})"} if nodes else {})
        while len(self._waiting) > (slots if selector == self._selector else 0):
            remove_placement_group(self._waiting.pop())
        self._selector = selector
        while len(self._waiting) < slots:
            self._waiting.append(
                placement_group([self._bundle], bundle_label_selector=[selector] if selector else None)
            )


@contextmanager
def asking_for_nodes(
    resources: Resources, slots: Callable[[], int], *, avoided: Callable[[], Collection[str]]
) -> Iterator[None]:
    """Ask the autoscaler of the connected cluster for nodes while the block runs.

    Args:
        slots: how many to ask for now; called from a thread of its own, as is `avoided`.
        avoided: ids of nodes whose slots are not wanted.
    """
    demand, over = NodeDemand(resources, monotonic=time.monotonic, avoided=avoided), threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                demand.ask_for(slots())
            except (ray.exceptions.RayError, RuntimeError, OSError) as error:  # the sweep itself meets it as well
                logger.warning("the demand for nodes was not renewed: %s", error)
            over.wait(LOOK_EVERY_S)

    thread = threading.Thread(target=keep_asking, name="node-demand", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        try:
            demand.ask_for(0)
        except (ray.exceptions.RayError, RuntimeError, OSError) as error:
            logger.warning("the demand for nodes goes with the driver: %s", error)
