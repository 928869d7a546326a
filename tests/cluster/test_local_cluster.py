"""cluster/local.sh for real: who gets in, what the doctor finds, and that nothing is left."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_cluster import LocalCluster, local_cluster
from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.connectivity import check_connectivity, cluster_nodes

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster("2") as cluster:
        yield cluster


def test_a_client_with_the_token_gets_in_and_no_other(cluster: LocalCluster):
    address, token = cluster.address, cluster.token

    assert (cluster.state / "token").stat().st_mode & 0o777 == 0o600
    assert check_connectivity(address, token=token).auth == "token"
    assert [(node.head, node.resources.get("CPU", 0)) for node in cluster_nodes(address, token=token)] == [
        (True, 0),
        (False, 1),
        (False, 1),
    ]
    with pytest.raises(ClusterTrouble, match="wants a token"):
        check_connectivity(address, token=None)
    with pytest.raises(ClusterTrouble, match="refuses the token"):
        check_connectivity(address, token=token[::-1])
    with pytest.raises(ClusterTrouble, match="not in HTTP"):
        check_connectivity(f"http://{cluster.gcs_address}", token=token)


def test_rays_own_client_sees_three_nodes(cluster: LocalCluster):
    code = f"import ray; ray.init({cluster.gcs_address!r}); print(len(ray.nodes()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=cluster.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "3"


def test_the_doctor_asks_every_node(cluster: LocalCluster, tmp_path: Path):
    done = cluster.vae_search(tmp_path, "doctor", "--json", "--store", tmp_path / "store", "--address", cluster.address)
    checks = {check["name"]: check for check in json.loads(done.stdout)}

    assert checks["room"]["found"] == "2 nodes × 1 CPU: 2 trials of 1 CPU at once"
    assert checks["nodes"]["found"] == "3 answer"
    assert checks["store of the nodes"]["found"] == "the same, and writable, on 3 of 3 nodes"


def test_up_twice_is_refused_and_down_leaves_nothing(cluster: LocalCluster):
    assert "is up already" in cluster.local("up").stderr
    ray_folder = Path((cluster.state / "ray-folder").read_text().strip())
    assert cluster.processes()

    done = cluster.local("down")

    assert done.returncode == 0, done.stderr
    assert cluster.processes() == []
    assert not cluster.state.exists()
    assert not ray_folder.exists()
    assert "no cluster is up" in cluster.local("down").stderr
