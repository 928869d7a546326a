"""A cluster on this machine that Ray's own autoscaler grows from a head without CPUs, over its fake provider.

`ray.cluster_utils.AutoscalingCluster` ends every Ray of the user, and needs a file that Ray's wheel lacks; so the head
is started here. Its processes, the nodes among them, are known by a word in their environment, as local.sh's are.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.local_cluster import LocalCluster, environment

HEAD = "f" * 51 + "00000"  # the fake provider's name of it
NODE_IP = "127.0.0.2"  # as in local.sh


def free_ports(count: int) -> list[int]:
    """Distinct ports that nobody listens on."""
    held = [socket.create_server(("", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


def configuration(gcs_address: str, *, max_workers: int, idle_minutes: float) -> dict[str, object]:
    """What `ray up` would give the autoscaler: worker nodes of one CPU, from none."""
    empty = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands")
    commands = [f"{kind}_{what}_commands" for kind in ("head", "worker") for what in ("setup", "start_ray")]
    return {
        "cluster_name": "fake",
        "max_workers": max_workers,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_minutes,
        "provider": {
            "type": "external",  # for the provider by its own name, Ray wants a file that its wheel lacks
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": gcs_address,
            "head_node_id": HEAD,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "worker_liveness_check": False,
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in (*empty, *commands)},
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"CPU": 1, "object_store_memory": 200 * 2**20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": max_workers,
            },
        },
        "head_node_type": "ray.head.default",
    }


@contextmanager
def autoscaled_cluster(*, max_workers: int, idle_minutes: float = 0.2, version: int = 1) -> Iterator[LocalCluster]:
    """A head with an autoscaler and no worker, for the length of the block.

    Args:
        version: of Ray's autoscaler; `ray up` and KubeRay use 2.
    """
    state = Path(tempfile.mkdtemp(prefix="vas-"))  # short: Ray puts sockets below it
    cluster = LocalCluster(state)
    gcs, dashboard, client, agent = free_ports(4)
    (state / "gcs-address").write_text(f"{NODE_IP}:{gcs}")
    (state / "dashboard-address").write_text(f"http://127.0.0.1:{dashboard}")
    (state / "token").touch(mode=0o600)
    (state / "token").write_text(secrets.token_hex(32))
    config = configuration(cluster.gcs_address, max_workers=max_workers, idle_minutes=idle_minutes)
    (state / "autoscaler.json").write_text(json.dumps(config))
    words = {
        "--port": gcs,
        "--node-ip-address": NODE_IP,
        "--dashboard-host": "127.0.0.1",
        "--dashboard-port": dashboard,
        "--ray-client-server-port": client,
        "--dashboard-agent-listen-port": agent,
        "--num-cpus": 0,
        "--min-worker-port": 0,
        "--max-worker-port": 0,
        "--object-store-memory": 200 * 2**20,
        "--autoscaling-config": state / "autoscaler.json",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--disable-usage-stats"]
            + [f"{word}={value}" for word, value in words.items()],
            env=environment(
                RAY_AUTH_MODE="token",
                RAY_AUTH_TOKEN_PATH=str(state / "token"),
                RAY_TMPDIR=str(state),
                RAY_USAGE_STATS_ENABLED="0",
                RAY_FAKE_CLUSTER="1",
                RAY_enable_autoscaler_v2="1" if version == 2 else "0",
                # What `ray up` and KubeRay tell the head, and version 2 needs.
                RAY_CLOUD_INSTANCE_ID=HEAD,
                RAY_OVERRIDE_NODE_ID_FOR_TESTING=HEAD,
                RAY_NODE_TYPE_NAME="ray.head.default",
                AUTOSCALER_UPDATE_INTERVAL_S="1",
                VAE_SEARCH_LOCAL_NODE=f"{state}/head",
                SPT_NOENV="1",
                PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(state, ignore_errors=True)
