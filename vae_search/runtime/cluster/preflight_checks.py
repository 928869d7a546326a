"""Checks that everything a sweep needs is in place: versions, token, cluster, store. Each is a function of facts."""

import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vae_search.errors import VaeSearchError
from vae_search.runtime.cluster.connectivity import DISABLED, HOW_TO_ENCRYPT, IN_THE_CLEAR, ClusterFacts
from vae_search.runtime.cluster.node_check import NodeReport
from vae_search.runtime.cluster.token import Token
from vae_search.search.capacity import CPU, GPU, NodeCapacity, cluster_capacity
from vae_search.spec.sections import Resources

LEAST_FREE_BYTES = 2e9
MOST_USED = 0.95
"""of a disk; beyond it Ray starts no objects on it"""
MOST_SKEW_S = 30.0
"""of clocks; leases do not depend on them, the times in rows and `budget.minutes` after a move to another machine do"""
PACKAGES = ("vae-search", "ray", "tensorflow")


class Area(StrEnum):
    """The part that is in trouble; decides the exit code."""

    CLUSTER = "cluster"
    STORE = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor's."""

    name: str
    area: Area = Area.CLUSTER
    ok: bool
    found: str
    remedy: str = ""
    """what to do, where something is not ok, or could be better"""


def in_trouble(name: str, error: VaeSearchError, *, area: Area = Area.CLUSTER) -> Check:
    """An error as a check: its first line is what was found, the rest what to do."""
    found, _, remedy = str(error).partition("\n")
    return Check(name=name, area=area, ok=False, found=found, remedy=remedy.replace("\n", " "))


def check_versions(installed: Mapping[str, str | None], *, python: str) -> Check:
    """Check that the packages are here.

    Args:
        installed: version by package; None for one that is missing.
    """
    missing = [name for name, version in installed.items() if version is None]
    present = ", ".join(f"{name} {version}" for name, version in installed.items() if version is not None)
    return Check(
        name="versions",
        ok=not missing,
        found=f"{present}, Python {python}" + (f"; without {', '.join(missing)}" if missing else ""),
        remedy="pip install --constraint requirements.lock vae-search" if missing else "",
    )


def check_token(token: Token | None, *, file_mode: int | None) -> Check:
    """Check that nobody else can read the token."""
    if token is None:
        return Check(name="token", ok=True, found="none; a private Ray makes its own for each run")
    if token.path is None or file_mode is None:
        return Check(name="token", ok=True, found=f"from {token.came_from}")
    wide = bool(stat.S_IMODE(file_mode) & 0o077)
    return Check(
        name="token",
        ok=not wide,
        found=f"from {token.came_from}, mode {stat.S_IMODE(file_mode):04o}"
        + (": other users of this machine can use it" if wide else ""),
        remedy=f"chmod 600 {token.path}" if wide else "",
    )


def check_cluster(facts: ClusterFacts) -> Check:
    """Report what a cluster that can be used tells of itself."""
    lets_in = "lets in anybody, on this machine only" if facts.auth == DISABLED else "takes our token"
    return Check(
        name="cluster",
        ok=True,  # many clusters are in a network that nobody else is in
        found=f"{facts.address}: Ray {facts.ray_version}, {lets_in}"
        + (f"; {IN_THE_CLEAR}" if facts.shows_token else ""),
        remedy=HOW_TO_ENCRYPT if facts.shows_token else "",
    )


def check_auth_mode(facts: ClusterFacts, *, mode: str | None) -> Check:
    """Check that Ray's own client, which decides by RAY_AUTH_MODE, would show the token."""
    off = facts.auth != DISABLED and mode is not None and mode.lower() == DISABLED
    return Check(
        name="RAY_AUTH_MODE",
        ok=not off,
        found=f"{mode if mode else 'not set'} here, {facts.auth} on the cluster",
        remedy="export RAY_AUTH_MODE=token" if off else "",
    )


def check_clock(ahead_s: float | None, *, whose: str, area: Area) -> Check:
    """Check that another clock tells about the same time as ours."""
    if ahead_s is None:
        return Check(name=f"clock of the {whose}", area=area, ok=True, found="it does not say")
    off = abs(ahead_s) > MOST_SKEW_S
    direction = "ahead of" if ahead_s > 0 else "behind"
    return Check(
        name=f"clock of the {whose}",
        area=area,
        ok=not off,
        found=f"{abs(ahead_s):.0f} s {direction} ours" if abs(ahead_s) >= 1 else "as ours",
        remedy="Let NTP set both clocks." if off else "",
    )


def check_capacity(nodes: Sequence[NodeCapacity], resources: Resources, *, waited_s: float = 0.0) -> Check:
    """Report how many trials run at once; a trial never spans nodes.

    Args:
        waited_s: for a node that holds one.
    """
    kinds = Counter((node.resources.get(CPU, 0.0), node.resources.get(GPU, 0.0)) for node in nodes)
    slots = cluster_capacity(nodes, resources)
    listed = " + ".join(
        f"{count} node{'s' if count > 1 else ''} × {_resources(*kind)}"
        for kind, count in sorted(kinds.items())
        if kind[0] > 0
    )
    wanted = _resources(resources.cpus_per_trial, resources.gpus_per_trial)
    trials = "1 trial" if slots == 1 else f"{slots} trials"
    waited = f" None came within {waited_s:.0f} s: `ray status` on the head says what an autoscaler tried."
    return Check(
        name="room",
        ok=slots > 0,
        found=f"{listed or 'no node with CPUs for trials'}: {trials} of {wanted} at once",
        remedy="Add nodes, or lower what a trial takes." + (waited if waited_s else "") if slots == 0 else "",
    )


def check_nodes(reports: Sequence[NodeReport], *, here: Mapping[str, str | None]) -> list[Check]:
    """Check that every node runs the versions that this machine does."""
    silent = [f"{_short(report)} {report.trouble}" for report in reports if report.trouble is not None]
    others: Counter[str] = Counter()
    for report in reports:
        if report.trouble is None:
            for name in PACKAGES:
                if report.versions.get(name) != here.get(name):
                    others[f"{name} {report.versions.get(name) or 'missing'} on {_short(report)}"] += 1
    late = [report for report in reports if report.clock_off_s > MOST_SKEW_S]
    checks = [
        Check(
            name="nodes",
            ok=not silent and bool(reports),
            found="; ".join(silent[:3]) or f"{len(reports)} answer",
            remedy="See the node's logs, and whether its ports are open to the others." if silent else "",
        ),
        Check(
            name="their versions",
            ok=not others,
            found="; ".join(list(others)[:3]) or "the same as here",
            remedy="Install the same requirements.lock everywhere, or use one image for all nodes." if others else "",
        ),
    ]
    if late:
        checks.append(
            Check(
                name="their clocks",
                ok=False,
                found=f"{late[0].clock_off_s:.0f} s off on {_short(late[0])}",
                remedy="Let NTP set the clocks of all nodes.",
            )
        )
    return checks


def check_gpus(reports: Sequence[NodeReport], resources: Resources) -> list[Check]:
    """Check that TensorFlow sees the GPUs that Ray counts; no check where there are none and none is wanted."""
    with_gpus = [report for report in reports if report.trouble is None and report.gpus > 0]
    if not with_gpus and resources.gpus_per_trial == 0:
        return []
    blind = [report for report in with_gpus if len(report.gpus_seen or ()) < report.gpus]
    names = Counter(name for report in with_gpus for name in report.gpus_seen or ())
    found = "; ".join(
        f"{_short(report)} has {report.gpus:g} for Ray, and {len(report.gpus_seen or ()) or 'none'} for its TensorFlow"
        for report in blind[:3]
    )
    return [
        Check(
            name="GPUs",
            ok=not (blind and resources.gpus_per_trial > 0),
            found=found or ", ".join(f"{count} × {name}" for name, count in sorted(names.items())) or "none",
            remedy="Install vae-search[gpu] with requirements-gpu.lock and NVIDIA's driver there, or use an image of "
            "cluster/Dockerfile with EXTRAS=s3,gpu."
            if blind and resources.gpus_per_trial > 0
            else "",
        )
    ]


def check_store_of_nodes(reports: Sequence[NodeReport]) -> Check:
    """Check that all nodes see the store that this machine sees, and may write into it."""
    troubles = [
        f"on {_short(report)}: {report.store_trouble}" for report in reports if report.store_trouble is not None
    ]
    asked = [report for report in reports if report.trouble is None]
    return Check(
        name="store of the nodes",
        area=Area.STORE,
        ok=not troubles and bool(asked),
        found=troubles[0] if troubles else f"the same, and writable, on {len(asked)} of {len(reports)} nodes",
        remedy="A folder must be one that all nodes share, at the same path; a bucket's credentials must be in the "
        "environment of every node."
        if troubles
        else "",
    )


def check_space(free_bytes: float, total_bytes: float, *, where: str, area: Area) -> Check:
    """Check that a disk has space for a sweep."""
    tight = free_bytes < LEAST_FREE_BYTES or free_bytes < (1 - MOST_USED) * total_bytes
    return Check(
        name="space for Ray" if area is Area.CLUSTER else "space of the store",
        area=area,
        ok=not tight,
        found=f"{free_bytes / 1e9:.1f} GB on the disk of {where}",
        remedy=f"Free some space; {LEAST_FREE_BYTES / 1e9:.0f} GB, and a twentieth of the disk, should be free."
        if tight
        else "",
    )


def _resources(cpus: float, gpus: float) -> str:
    words = f"{cpus:g} CPU{'s' if cpus != 1 else ''}"
    return f"{words}, {gpus:g} GPU{'s' if gpus != 1 else ''}" if gpus else words


def _short(report: NodeReport) -> str:
    return f"node {report.node_id[:8]}"
