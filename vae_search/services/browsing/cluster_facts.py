"""Facts of the machines that sweeps run on: what each offers, and how many trials of each running sweep it holds."""

import platform
from collections.abc import Mapping, Sequence

from vae_search.core.machine import this_machine
from vae_search.errors import ClusterTrouble, VaeSearchError
from vae_search.search.capacity import (
    CPU,
    GPU,
    MEMORY,
    NodeCapacity,
    capped,
    cluster_capacity,
    local_capacity,
    shown_needs,
    trials_on,
)
from vae_search.services.payloads import Facts
from vae_search.spec.sections import Resources

ONE_CORE = Resources()  # what a trial takes whose spec says nothing


def cluster_facts(address: str | None, sweeps: Mapping[str, Resources]) -> Facts:
    """The nodes of a cluster, or this machine.

    A cluster in trouble has no nodes, and `trouble` says why: what runs elsewhere can still be told.

    Args:
        address: of its dashboard; None: sweeps run on this machine.
        sweeps: that run, and what a trial of each takes.
    """
    try:
        nodes = _this_machine() if address is None else _nodes(address)
        trouble = None
    except VaeSearchError as error:
        nodes, trouble = [], str(error)
    return {
        "address": address,
        "trouble": trouble,
        "nodes": [_node_facts(name, is_head, node, sweeps) for name, is_head, node in nodes],
        "sweeps": [
            {
                "sweep": sweep,
                "trial_needs": shown_needs(resources),
                "trials_at_once": _at_once(address, nodes, resources),
            }
            for sweep, resources in sweeps.items()
        ],
        "trials_of_one_core": _at_once(address, nodes, ONE_CORE),
    }


_Named = tuple[str, bool, NodeCapacity]


def _this_machine() -> list[_Named]:
    machine = this_machine()
    offered = {CPU: float(machine.cores)}
    if machine.memory_bytes is not None:
        offered[MEMORY] = float(machine.memory_bytes)
    return [(platform.node(), True, NodeCapacity(node_id="", resources=offered))]


def _nodes(address: str) -> list[_Named]:
    """The living nodes of a cluster, the head first.

    Raises:
        ClusterTrouble: It cannot be used from here; within seconds.
    """
    from vae_search.runtime.cluster.connectivity import check_connectivity, cluster_nodes
    from vae_search.runtime.cluster.token import find_token

    token = find_token()
    check_connectivity(address, token=token)  # the token goes to nobody who has not said that he wants one
    return [(node.ip, node.head, node) for node in cluster_nodes(address, token=token)]


def _node_facts(name: str, is_head: bool, node: NodeCapacity, sweeps: Mapping[str, Resources]) -> Facts:
    return {
        "node": name,
        "head": is_head,
        "cpus": node.resources.get(CPU, 0.0),
        "gpus": node.resources.get(GPU, 0.0),
        "memory_bytes": node.resources.get(MEMORY),
        "labels": dict(node.labels),
        "trials_of_one_core": trials_on(node, ONE_CORE),
        "trials": {sweep: trials_on(node, resources) for sweep, resources in sweeps.items()},
    }


def _at_once(address: str | None, nodes: Sequence[_Named], resources: Resources) -> int:
    """Trials that all nodes hold at once, and the spec allows; on this machine its memory counts as well."""
    if address is not None:
        return capped(cluster_capacity([node for _, _, node in nodes], resources), resources)
    try:
        return local_capacity(resources, this_machine()).trials
    except ClusterTrouble:  # a trial needs more cores than there are
        return 0
