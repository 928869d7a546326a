"""Connection to the head of a running cluster (its GCS): address and token, checked in seconds instead of a minute.

Ray's own `ray.init` waits for a cluster that is not there, and does not tell a wrong token from a missing one.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import ray
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.core.generated.gcs_pb2 import GcsNodeInfo

from vae_search.core.transfer.http_address import is_loopback
from vae_search.errors import BadData, ClusterTrouble
from vae_search.runtime.cluster.autoscaler import autoscaler_runs
from vae_search.runtime.cluster.token import find_token
from vae_search.runtime.process_state import AUTH_MODE, AUTH_TOKEN, AUTH_TOKEN_PATH, ray_environment, set_for_joining
from vae_search.search.capacity import NodeCapacity, check_capacity, cluster_capacity
from vae_search.spec.sections import Resources
from vae_search.vae.quiet_import import native_remarks_hidden

REACH_S = 3.0
PACKAGE_S = 60.0  # of a package of up to 100 MiB
REPORT_S = 15.0  # within which a head that has just started reports whether it has an autoscaler


def gcs_address(address: str) -> str:
    """`host:port` of the cluster's head.

    Args:
        address: that, or `auto` for the cluster that this machine is a node of.

    Raises:
        ClusterTrouble: There is none, or it is no such address.
    """
    if address.startswith(("http://", "https://", "ray://")):
        raise ClusterTrouble(
            f"--address {address}: must be auto or host:port of the cluster's head; run is for machines of the "
            f"cluster.\nFrom elsewhere: vae-search submit SPEC --address {address}"
        )
    try:
        found = canonicalize_bootstrap_address(address)
    except (ValueError, ConnectionError, RuntimeError, OSError) as error:
        raise ClusterTrouble(f"--address {address}: {next(iter(str(error).splitlines()), 'is no address')}") from error
    if found is None:
        raise ClusterTrouble(f"--address {address}: this machine is no node of a running cluster. Give host:port.")
    return str(found)


def check_cluster(address: str, resources: Resources, *, wait_s: float | None) -> None:
    """Make sure that the cluster lets us in, and could hold a trial; before anything slow, or anything written.

    Args:
        address: see `gcs_address`.
        wait_s: for nodes that are still to come; None where an autoscaler would have to bring them.

    Raises:
        ClusterTrouble: It cannot be joined, or a trial would wait for ever.
    """
    with ray_environment():
        client = connect_head(gcs_address(address))
        nodes = [
            NodeCapacity(node_id=info.node_id.hex(), resources=dict(info.resources_total), labels=dict(info.labels))
            for info in client.get_all_node_info(timeout=REACH_S).values()
            if info.state == GcsNodeInfo.ALIVE
        ]
        if not wait_s and not cluster_capacity(nodes, resources) and (wait_s is not None or not _grows(client)):
            check_capacity(nodes, resources)


def take_packages(address: str, names: Sequence[str]) -> Iterator[bytes]:
    """Contents of packages that a client has left at the head, which forgets each once the next is asked for.

    Args:
        address: see `gcs_address`.

    Raises:
        ClusterTrouble: The head cannot be reached.
        BadData: One is not there any more.
    """
    with ray_environment():
        client = connect_head(gcs_address(address))
        for name in names:
            content = client.internal_kv_get(name.encode(), None, timeout=PACKAGE_S)
            if content is None:
                raise BadData("the images that were sent are gone: the head keeps them for minutes. Submit again.")
            yield content
            client.internal_kv_del(name.encode(), False, None, timeout=PACKAGE_S)


def grows(address: str) -> bool:
    """True if an autoscaler that can add nodes runs the cluster of the connected head.

    Args:
        address: see `gcs_address`.
    """
    return _grows(connect_head(gcs_address(address)))


def _grows(client: GcsClient) -> bool:
    """Ask until the head has said so: the first report comes seconds after its start."""
    give_up_s = time.monotonic() + REPORT_S
    while True:
        with suppress(ray.exceptions.RayError):  # it is asked again, and a head that is gone is met soon enough
            answer = autoscaler_runs(client, timeout_s=REACH_S)
            if answer is not None:
                return answer
        if time.monotonic() > give_up_s:
            return False
        time.sleep(0.5)


def connect_head(address: str) -> GcsClient:
    """A connection to the cluster's head, which answers and takes our token, if we have one.

    Args:
        address: `host:port` of the head.

    Raises:
        ClusterTrouble: It does not answer, the token is wrong or missing, or anybody could send us code.
    """
    host, _, port = address.rpartition(":")
    has_token = find_token() is not None
    if not has_token and not is_loopback(host):
        raise ClusterTrouble(
            f"{address}: a cluster that others can reach needs token authentication, and there is no token.\n"
            f"Make one on the head with `ray get-auth-token --generate`, start its nodes with {AUTH_MODE}=token, "
            f"and set {AUTH_TOKEN_PATH}."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except (OSError, ValueError) as error:
        raise ClusterTrouble(
            f"{address}: nothing answers: {getattr(error, 'strerror', None) or error}. Is the head running?"
        ) from error
    if has_token and _lets_anybody_in(address):
        if not is_loopback(host):
            raise ClusterTrouble(
                f"{address}: must ask for a token, but lets anybody in who reaches it, to run any code.\n"
                f"Start its nodes with {AUTH_MODE}=token; the token that was found here was not sent."
            )
        has_token = False  # with one, its workers would not be able to answer this driver
    set_for_joining(has_token=has_token)
    try:
        return GcsClient(address=address)
    except ray.exceptions.AuthenticationError as error:
        what = "takes another token than the one" if has_token else "needs a token, and there is none"
        raise ClusterTrouble(
            f"{address}: the cluster {what} in {AUTH_TOKEN}, the file of {AUTH_TOKEN_PATH}, or ~/.ray/auth_token.\n"
            "Copy it from the head: `ray get-auth-token`."
        ) from error
    except ray.exceptions.RayError as error:
        raise ClusterTrouble(f"{address}: does not answer as a Ray head: {str(error).splitlines()[0]}") from error


def _lets_anybody_in(address: str) -> bool:
    """True if the head talks to clients that show no token."""
    set_for_joining(has_token=False)
    try:
        with native_remarks_hidden():  # that a token is missing is what is asked here, and no warning for people
            GcsClient(address=address)
    except ray.exceptions.RayError:  # that it wants a token; what else may be wrong, the caller will meet
        return False
    return True
