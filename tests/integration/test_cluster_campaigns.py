"""What takes too long for `make test-all` on clusters: `make e2e`. Each has its cluster; see cluster/local.sh."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster_sweeps import active, nodes_in_use, ray_nodes_of, rows, saved, write_spec
from tests.support.local_cluster import LocalCluster, command, local_cluster, until
from vae_search.runtime.cluster.connectivity import cluster_nodes

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("VAE_SEARCH_E2E"), reason="takes minutes: make e2e"),
]


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with local_cluster("2") as cluster:
        yield cluster


def test_a_new_cluster_continues_where_the_head_was_lost(tmp_path: Path):
    spec = write_spec(tmp_path, "headless", "digits", trials=6, epochs=150)
    with local_cluster("2") as cluster:
        to = ("--address", cluster.address, "--store", tmp_path / "store")
        cluster.vae_search(tmp_path, "submit", spec, *to)
        until(lambda: rows(tmp_path, "headless"), "the first row")
        cluster.kill()
        before = rows(tmp_path, "headless")
    with local_cluster("2") as cluster:
        to = ("--address", cluster.address, "--store", tmp_path / "store")
        cluster.vae_search(tmp_path, "submit", spec, *to, "--follow")

    after = rows(tmp_path, "headless")
    assert sorted(after) == list(range(6))
    assert all(after[trial] == row for trial, row in before.items())
    assert {row.lease for row in after.values()} == {1, 2}


def test_two_sweeps_at_once_both_finish_unmixed(cluster: LocalCluster, tmp_path: Path):
    to = ("--address", cluster.address, "--store", tmp_path / "store")
    for name in ("left", "right"):
        spec = write_spec(tmp_path, name, "digits", trials=4, epochs=250, more="resources: {concurrency: 1}")
        cluster.vae_search(tmp_path, "submit", spec, *to)
    assert active(cluster, "left")  # or they would not be at once
    until(lambda: not active(cluster, "left") and not active(cluster, "right"), "the end of both")

    for name in ("left", "right"):
        found = rows(tmp_path, name)
        assert sorted(found) == list(range(4))
        assert {row.sweep for row in found.values()} == {name}
        assert most_at_once(found.values()) == 1


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs a GPU that TensorFlow sees")
def test_four_trials_share_a_gpu(cluster: LocalCluster, tmp_path: Path):
    assert cluster.local("add", "--cpus", "8", "--num-gpus", "1").returncode == 0
    spec = write_spec(tmp_path, "shares", "digits", trials=8, epochs=60, more="resources: {gpus_per_trial: 0.25}")

    done = cluster.vae_search(
        tmp_path, "submit", spec, "--address", cluster.address, "--store", tmp_path / "store", "--follow"
    )

    found = rows(tmp_path, "shares")
    assert sorted(found) == list(range(8)), done.stdout
    with_gpu = {
        node.node_id for node in cluster_nodes(cluster.address, token=cluster.token) if node.resources.get("GPU")
    }
    assert {row.node_id for row in found.values()} == with_gpu
    assert 2 <= most_at_once(found.values()) <= 4
    assert all(row.device not in (None, "cpu") for row in found.values())


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="says what is done without a GPU")
def test_a_gpu_that_tensorflow_does_not_see_ends_the_sweep_with_its_node_and_trains_nothing(
    cluster: LocalCluster, tmp_path: Path
):
    assert cluster.local("add", "--cpus", "8", "--num-gpus", "1").returncode == 0
    spec = write_spec(tmp_path, "blind", "digits", trials=2, more="resources: {gpus_per_trial: 0.25}")

    done = cluster.vae_search(
        tmp_path, "submit", spec, "--address", cluster.address, "--store", tmp_path / "store", "--follow", code=4
    )

    assert "given 0.25 GPUs, but TensorFlow sees none there" in done.stdout + done.stderr
    assert rows(tmp_path, "blind") == {}


def test_a_node_that_is_called_back_saves_every_epoch_and_costs_no_retry(cluster: LocalCluster, tmp_path: Path):
    more = "max_retries: 0"
    spec = write_spec(tmp_path, "spot", "digits", trials=4, epochs=250, more=more)
    spec.write_text(spec.read_text().replace("checkpoint_s: 0.5", "checkpoint_s: 10000"))
    to = ("--address", cluster.address, "--store", tmp_path / "store")
    cluster.vae_search(tmp_path, "submit", spec, *to)
    until(lambda: len(nodes_in_use(tmp_path, "spot")) == 2, "both nodes to train")
    (node,) = ray_nodes_of(cluster, "worker-1", tmp_path, "spot")

    call_back(cluster, node)
    until(lambda: saved(tmp_path, "spot"), "a checkpoint on the node that goes")
    cluster.kill("worker-1")
    until(lambda: not active(cluster, "spot"), "the end of the sweep")

    found = rows(tmp_path, "spot")
    assert sorted(found) == list(range(4))
    assert sorted(row.attempts for row in found.values()) == [1, 1, 1, 2]


def call_back(cluster: LocalCluster, node: str) -> None:
    """What a cloud's notice becomes in Ray: the node drains, because it is preempted."""
    code = (
        "import sys, time\n"
        "from ray._raylet import GcsClient\n"
        "from ray.core.generated.autoscaler_pb2 import DrainNodeReason\n"
        "client = GcsClient(address=sys.argv[1])\n"
        "(node,) = [n.hex() for n in client.get_all_node_info(timeout=10) if n.hex().startswith(sys.argv[2])]\n"
        "reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION\n"
        "accepted, why = client.drain_node(node, reason, 'spot', int(1000 * (time.time() + 600)))\n"
        "sys.exit(why if not accepted else 0)\n"
    )
    subprocess.run([command()[0], "-c", code, cluster.gcs_address, node], env=cluster.environment(), check=True)


def most_at_once(found) -> int:
    """How many of the rows' trials ran at the same time, at most."""
    ends = sorted([(row.started_at, 1) for row in found] + [(row.finished_at, -1) for row in found])
    running, most = 0, 0
    for _, change in ends:
        running += change
        most = max(most, running)
    return most
