"""Facts for the preflight checks, from here, a cluster and a store; one thing in trouble hides no other."""

import os
import platform
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from vae_search.core.machine import usable_cores
from vae_search.core.scratch import folder_for_sockets
from vae_search.errors import VaeSearchError
from vae_search.runtime.cluster import preflight_checks
from vae_search.runtime.cluster.connectivity import check_connectivity, cluster_nodes, may_grow
from vae_search.runtime.cluster.node_check import ask_nodes
from vae_search.runtime.cluster.preflight_checks import Area, Check, in_trouble
from vae_search.runtime.cluster.token import Token, locate_token
from vae_search.search.capacity import AUTOSCALER_S, CPU, NodeCapacity, cluster_capacity, shown_needs
from vae_search.spec.networks.plugins import entry_points, family_of, shown_packages
from vae_search.spec.sections import Resources
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store, prove_exclusive
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.uri import open_store


def examine(
    address: str | None,
    store: str | None,
    resources: Resources,
    *,
    wait_s: float | None,
    on_wait: Callable[[str], None],
) -> list[Check]:
    """All checks, in the order in which they are read.

    Args:
        address: of a cluster's dashboard; None for this machine alone.
        store: location of a store; None for no check of it.
        resources: what a trial takes.
        wait_s: for a node of the cluster that holds a trial; None: only where an autoscaler brings nodes.
        on_wait: told what is waited for.
    """
    here = {name: _version(name) for name in preflight_checks.PACKAGES}
    checks = [preflight_checks.check_versions(here, python=platform.python_version())]
    checks.extend(_families())
    token: Token | None = None
    try:
        token = locate_token(os.environ, home=Path.home())
        checks.append(preflight_checks.check_token(token, file_mode=_mode(token)))
    except VaeSearchError as error:
        checks.append(in_trouble("token", error))
    with _note(store, checks) as (location, note):
        if address is None:
            checks.extend(_this_machine(resources))
        else:
            asked = token.value if token is not None else None
            waiting = _Waiting(wait_s=wait_s, on_wait=on_wait)
            checks.extend(_cluster(address, asked, here, resources, waiting, store=location, note=note))
    return checks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """Patience with a cluster that has no node for a trial yet."""

    wait_s: float | None
    on_wait: Callable[[str], None]

    def patience_s(self, address: str, token: str | None, resources: Resources) -> float:
        """Seconds to wait for a node that holds a trial; 0 if there is one."""
        if cluster_capacity(cluster_nodes(address, token=token), resources):
            return 0.0
        patience_s = self.wait_s
        if patience_s is None:
            patience_s = AUTOSCALER_S if may_grow(address, token=token) else 0.0
        if patience_s:
            needed = shown_needs(resources)
            self.on_wait(f"waiting up to {patience_s:.0f} s for a node that holds a trial ({needed}); it is asked for")
        return patience_s


def _families() -> Iterator[Check]:
    """Families of networks that other packages bring; nothing where there are none."""
    for name in entry_points():
        try:
            meaning = family_of(name).meaning
        except VaeSearchError as error:
            yield in_trouble(f"family {name}", error)
        else:
            yield Check(name=f"family {name}", ok=True, found=f"{meaning} ({shown_packages(name)})")


def _this_machine(resources: Resources) -> Iterator[Check]:
    cores = usable_cores()
    yield preflight_checks.check_capacity([NodeCapacity(node_id="", resources={CPU: float(cores)})], resources)
    try:
        folder = folder_for_sockets()
    except VaeSearchError as error:
        yield in_trouble("temporary directory", error)
        return
    disk = shutil.disk_usage(folder)
    yield preflight_checks.check_space(disk.free, disk.total, where=str(folder), area=Area.CLUSTER)


def _cluster(
    address: str,
    token: str | None,
    here: Mapping[str, str | None],
    resources: Resources,
    waiting: _Waiting,
    *,
    store: str | None,
    note: str | None,
) -> Iterator[Check]:
    try:
        facts = check_connectivity(address, token=token)
    except VaeSearchError as error:
        yield in_trouble("cluster", error)
        return
    yield preflight_checks.check_cluster(facts)
    yield preflight_checks.check_auth_mode(facts, mode=os.environ.get("RAY_AUTH_MODE"))
    yield preflight_checks.check_clock(facts.ahead_s, whose="cluster", area=Area.CLUSTER)
    try:
        patience_s = waiting.patience_s(address, token, resources)
        if not patience_s:
            yield preflight_checks.check_capacity(cluster_nodes(address, token=token), resources)
        reports = ask_nodes(address, token=token, store=store, note=note, resources=resources, wait_s=patience_s)
        if patience_s:
            nodes = cluster_nodes(address, token=token)
            yield preflight_checks.check_capacity(nodes, resources, waited_s=patience_s)
    except VaeSearchError as error:
        yield in_trouble("nodes", error)
        return
    yield from preflight_checks.check_nodes(reports, here=here)
    yield from preflight_checks.check_gpus(reports, resources)
    if note is not None:
        yield preflight_checks.check_store_of_nodes(reports)


@contextmanager
def _note(location: str | None, checks: list[Check]) -> Iterator[tuple[str | None, str | None]]:
    """Check a store; yields where it is and a file in it for the nodes to find, if it can be used."""
    if location is None:
        yield None, None
        return
    note = store_paths.probe(secrets.token_hex(8))
    try:
        place = open_store(location)
        prove_exclusive(place)
        place.create(note, to_json_bytes({"written_s": time.time()}))
    except VaeSearchError as error:
        checks.append(in_trouble("store", error, area=Area.STORE))
        yield None, None
        return
    try:
        checks.append(
            Check(name="store", area=Area.STORE, ok=True, found=f"{place.location}: of two writers, one succeeds")
        )
        checks.extend(_folder(place, note))
        root = place.local_path("")
        yield (str(root.resolve()) if root is not None else place.location), note
    finally:
        with suppress(VaeSearchError):
            place.remove(note)


def _folder(place: Store, note: str) -> Iterator[Check]:
    """Disk and clock of a store that is a folder; a bucket has no end, and says so itself if the clocks differ much."""
    written = place.local_path(note)
    if written is not None:
        yield preflight_checks.check_clock(written.stat().st_mtime - time.time(), whose="store", area=Area.STORE)
        disk = shutil.disk_usage(written.parent)
        yield preflight_checks.check_space(disk.free, disk.total, where="the store", area=Area.STORE)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _mode(token: Token | None) -> int | None:
    return token.path.stat().st_mode if token is not None and token.path is not None else None
