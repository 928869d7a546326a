"""Asking every node of a cluster what it has, with a short job, over HTTP and without Ray."""

import json
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.connectivity import json_object, question
from vae_search.runtime.cluster.http_client import Address
from vae_search.runtime.cluster.node_check_script import ANSWER_S, MARK
from vae_search.search.capacity import needs
from vae_search.spec.sections import Resources

JOBS = "/api/jobs/"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
REQUEST_S = 10.0
PAUSE_S = 0.25
JOB_S = ANSWER_S + 35.0  # the job has to start, and then waits for its nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One node's report; everything else is empty if there was trouble."""

    node_id: str
    trouble: str | None
    python: str
    versions: Mapping[str, str | None]
    """by package; None if it is not installed there"""
    clock_off_s: float
    """at least so far is its clock from the head's"""
    store_trouble: str | None
    gpus: float = 0.0
    """as Ray counts them"""
    gpus_seen: tuple[str, ...] | None = None
    """names of those that its TensorFlow sees; None if Ray counts none"""


def ask_nodes(
    address: str, *, token: str | None, store: str | None, note: str | None, resources: Resources, wait_s: float = 0.0
) -> tuple[NodeReport, ...]:
    """Run the check on a cluster that `check_connectivity` accepts, and remove the job again.

    Args:
        store: location of a store that every node shall try, in which the file `note` lies.
        resources: what a trial takes.
        wait_s: for a node that holds a trial; an autoscaler is asked for it.

    Raises:
        ClusterTrouble: The job cannot be run; says with which words it ended.
    """
    place = Address.parse(address)

    def asked(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = question(
            address,
            place,
            JOBS + path,
            token=token,
            timeout_s=REQUEST_S,
            method=method,
            body=None if body is None else json.dumps(body).encode(),
        )
        if answer.status != 200:
            said = answer.body.decode(errors="replace").strip().splitlines()
            raise ClusterTrouble(f"{address}: the cluster runs no job: {said[-1][:300] if said else answer.status}")
        return json_object(answer)

    job = f"vae-search-doctor-{secrets.token_hex(6)}"
    asks = {"store": store, "note": note, "bundle": needs(resources), "labels": resources.labels, "wait_s": wait_s}
    words = ["python", "-m", "vae_search.runtime.cluster.node_check_script", json.dumps(asks)]
    asked("POST", "", {"entrypoint": shlex.join(words), "submission_id": job})
    give_up_s = time.monotonic() + JOB_S + wait_s
    status = "PENDING"
    try:
        while status not in ENDED and time.monotonic() < give_up_s:
            time.sleep(PAUSE_S)
            status = str(asked("GET", job).get("status"))
        log = str(asked("GET", f"{job}/logs").get("logs"))
    finally:
        if status not in ENDED:
            asked("POST", f"{job}/stop")
        else:
            asked("DELETE", job)
    return _reports(log, where=f"{address}: job {job} ({status.lower()})")


def _reports(log: str, *, where: str) -> tuple[NodeReport, ...]:
    answers = [line.removeprefix(MARK) for line in log.splitlines() if line.startswith(MARK)]
    if not answers:
        if "No module named" in log and "vae_search" in log:
            raise ClusterTrouble(
                f"{where}: the cluster's Python has no vae-search.\nInstall this version of it, with its "
                "requirements.lock, on every node, or use the image of cluster/Dockerfile."
            )
        said = [line.strip() for line in log.splitlines() if line.strip()]
        raise ClusterTrouble(
            f"{where}: said nothing about its nodes. Its last words: {said[-1][:300] if said else '–'}"
        )
    try:
        return tuple(_report(listed) for listed in json.loads(answers[-1]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ClusterTrouble(f"{where}: answered what this version does not understand.") from error


def _report(listed: Mapping[str, Any]) -> NodeReport:
    trouble = listed["trouble"]
    return NodeReport(
        node_id=str(listed["node_id"]),
        trouble=None if trouble is None else str(trouble),
        python=str(listed.get("python", "")),
        versions=dict(listed.get("versions", {})),
        clock_off_s=float(listed.get("clock_off_s", 0.0)),
        store_trouble=listed.get("store_trouble"),
        gpus=float(listed.get("gpus", 0.0)),
        gpus_seen=None if listed.get("gpus_seen") is None else tuple(map(str, listed["gpus_seen"])),
    )
