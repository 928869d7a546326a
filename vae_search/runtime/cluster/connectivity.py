"""Connectivity of a cluster, checked over HTTP within seconds: Ray itself tries for 20 s and gives no reason.

The token is shown only to what has said that it is a Ray dashboard which wants one.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from vae_search.core.transfer.http_address import is_loopback
from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.http_client import Address, Answer, NoAnswer, NotHttp, ask
from vae_search.search.capacity import NodeCapacity

MODE = "/api/authentication_mode"  # open to everybody, since Ray 2.52
VERSION = "/api/version"
STATUS = "/api/cluster_status"
NODES = "/api/v0/nodes?detail=1&limit=10000"
DISABLED = "disabled"

IN_THE_CLEAR = "the token goes over plain http, so whoever is on the way can read it"
HOW_TO_ENCRYPT = "Use a tunnel: ssh -L 8265:127.0.0.1:8265 HEAD, then --address http://127.0.0.1:8265; or https."
HOW_TO_FENCE = (
    "`ray get-auth-token --generate` makes a token, ~/.ray/auth_token: put the same file, mode 0600, on every node, "
    "set RAY_AUTH_MODE=token there, and start the cluster again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """Facts that a cluster tells of itself."""

    address: str
    ray_version: str
    auth: str
    """how it knows its users: `token`, or `disabled` (only ever on this machine)"""
    ahead_s: float | None
    """how far its clock is ahead of ours, to half a second; None if unknown"""

    @property
    def shows_token(self) -> bool:
        """True if the token goes to another machine unencrypted."""
        place = Address.parse(self.address)
        return self.auth != DISABLED and not place.secure and not is_loopback(place.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode(NodeCapacity):
    """One machine of a cluster that is alive, and what it offers to trials."""

    ip: str
    head: bool


def check_connectivity(address: str, *, token: str | None, timeout_s: float = 3.0) -> ClusterFacts:
    """Ask the cluster at `address` who it is.

    Args:
        address: its dashboard, http://HEAD:8265.
        token: what `find_token` found.
        timeout_s: for everything together.

    Raises:
        ClusterTrouble: Nothing answers, or no Ray, or one of another version; it wants another token; or it wants none
            although others can reach it.
    """
    place = Address.parse(address)
    deadline_s = time.monotonic() + timeout_s

    def asked(path: str, *, token: str | None = None) -> Answer:
        return question(address, place, path, token=token, timeout_s=deadline_s - time.monotonic())

    mode = asked(MODE)
    auth = json_object(mode).get("authentication_mode", DISABLED) if mode.status == 200 else DISABLED
    answer = asked(VERSION, token=token if auth != DISABLED else None)
    _check_token(address, answer, token=token)
    ray_version = json_object(answer).get("ray_version")
    if not isinstance(ray_version, str) or not isinstance(auth, str):
        raise ClusterTrouble(
            f"{address}: something answers there, but it is no Ray dashboard. Give http://HEAD:8265, with the port "
            "that the head was started with (`--dashboard-port`)."
        )
    here = version("ray")
    if ray_version.split(".")[:2] != here.split(".")[:2]:
        raise ClusterTrouble(
            f"{address}: the cluster must run Ray {'.'.join(here.split('.')[:2])}.*, as this program does ({here}), "
            f"but runs {ray_version[:40]!r}. Start it with the same version."
        )
    if auth == DISABLED and not is_loopback(place.host):
        raise ClusterTrouble(
            f"{address}: must ask for a token, but lets anybody in who reaches it, to run any code.\n{HOW_TO_FENCE}"
        )
    return ClusterFacts(address=address, ray_version=ray_version, auth=auth, ahead_s=answer.ahead_s)


def cluster_nodes(address: str, *, token: str | None, timeout_s: float = 3.0) -> tuple[ClusterNode, ...]:
    """The nodes that are alive, the head first; for a cluster that `check_connectivity` accepts.

    Raises:
        ClusterTrouble: The cluster does not tell.
    """
    answer = question(address, Address.parse(address), NODES, token=token, timeout_s=timeout_s)
    _check_token(address, answer, token=token)
    try:
        listed = json_object(answer)["data"]["result"]["result"]
        nodes = [_node(listed_node) for listed_node in listed if listed_node["state"] == "ALIVE"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClusterTrouble(f"{address}: the cluster does not list its nodes (HTTP {answer.status}).") from error
    return tuple(sorted(nodes, key=lambda node: (not node.head, node.ip, node.node_id)))


def question(
    address: str,
    place: Address,
    path: str,
    *,
    token: str | None,
    timeout_s: float,
    method: str = "GET",
    body: bytes | None = None,
) -> Answer:
    """One request to the cluster's dashboard.

    Raises:
        ClusterTrouble: There is no answer, or not in HTTP.
    """
    try:
        return ask(place, path, token=token, timeout_s=timeout_s, method=method, body=body)
    except NoAnswer as error:
        raise ClusterTrouble(
            f"{address}: no Ray cluster can be reached there: {error}.\nIs its head up, and the port of its dashboard "
            "open to this machine? An SSH tunnel will do: ssh -L 8265:127.0.0.1:8265 HEAD"
        ) from error
    except NotHttp as error:
        raise ClusterTrouble(
            f"{address}: something answers there, but not in HTTP. Give http://HEAD:8265, the port of the head's "
            "dashboard; 6379 is Ray's own."
        ) from error


def may_grow(address: str, *, token: str | None, timeout_s: float = 3.0) -> bool:
    """True if an autoscaler runs the cluster, so that larger nodes may come; as far as the cluster tells.

    Raises:
        ClusterTrouble: It does not answer.
    """
    answer = question(address, Address.parse(address), STATUS, token=token, timeout_s=timeout_s)
    try:
        types = json_object(answer)["data"]["clusterStatus"]["autoscalerReport"]["nodeTypeMapping"]
    except (KeyError, TypeError):
        return True  # version 2 reports nothing here
    return adds_nodes(types) is not False


def adds_nodes(types: object) -> bool | None:
    """True if the node types are an autoscaler's; a node that was started by hand has a type made of its id.

    Args:
        types: by node, as version 1 reports them.
    """
    if not isinstance(types, dict) or not types:
        return None
    return any(str(kind).lower() != f"node_{node}".lower() for node, kind in types.items())


def _check_token(address: str, answer: Answer, *, token: str | None) -> None:
    if answer.status == 401 and token is None:
        raise ClusterTrouble(
            f"{address}: the cluster wants a token, but none was found here.\nOn its head, `ray get-auth-token` prints "
            "it. Put it into ~/.ray/auth_token, mode 0600, or name the file in RAY_AUTH_TOKEN_PATH."
        )
    if answer.status in (401, 403):
        raise ClusterTrouble(
            f"{address}: the cluster refuses the token that was found here.\nOn its head, `ray get-auth-token` prints "
            "the right one. RAY_AUTH_TOKEN goes before RAY_AUTH_TOKEN_PATH, and that before ~/.ray/auth_token."
        )


def json_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is none."""
    try:
        facts = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _node(listed: Mapping[str, Any]) -> ClusterNode:
    offered = listed["resources_total"]
    return ClusterNode(
        node_id=str(listed["node_id"]),
        ip=str(listed["node_ip"]),
        head=bool(listed["is_head_node"]),
        resources={str(name): float(amount) for name, amount in offered.items()},
        labels={str(label): str(value) for label, value in (listed.get("labels") or {}).items()},
    )
