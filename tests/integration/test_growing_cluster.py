"""Sweeps on a cluster whose autoscaler has no worker yet: they ask for nodes, wait for them, and let them go."""

from pathlib import Path

import pytest

from tests.support.autoscaled_cluster import autoscaled_cluster
from tests.support.cluster_sweeps import rows, write_spec
from tests.support.local_cluster import LocalCluster, until
from vae_search.runtime.cluster.connectivity import cluster_nodes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


def workers(cluster: LocalCluster) -> int:
    return sum(not node.head for node in cluster_nodes(cluster.address, token=cluster.token))


@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.exhaustive), 2])
def test_a_sweep_brings_the_nodes_that_it_needs_and_lets_them_go(version: int, tmp_path: Path):
    with autoscaled_cluster(max_workers=2, version=version) as cluster:
        spec = write_spec(tmp_path, "grown", "digits", trials=4, epochs=4)

        done = cluster.vae_search(
            tmp_path, "run", spec, "--address", cluster.gcs_address, "--store", tmp_path / "store"
        )

        assert "waiting up to 1200 s for a node that holds a trial (1 CPU): none of 1 so far" in done.stdout
        assert "the largest node has" not in done.stdout + done.stderr
        assert len({row.node_id for row in rows(tmp_path, "grown").values()}) == 2  # not one node after the other
        until(lambda: workers(cluster) == 0, "the nodes to go")


@pytest.mark.exhaustive
def test_doctor_and_submit_wait_for_the_first_node(tmp_path: Path):
    with autoscaled_cluster(max_workers=1, idle_minutes=0.1) as cluster:
        spec = write_spec(tmp_path, "submitted", "digits", trials=2, epochs=4)
        to = ("--address", cluster.address, "--store", tmp_path / "store")

        checked = cluster.vae_search(tmp_path, "doctor", *to)
        until(lambda: workers(cluster) == 0, "the node to go")
        started = cluster.vae_search(tmp_path, "submit", spec, *to)
        cluster.vae_search(tmp_path, "logs", "submitted", "--address", cluster.address, "--follow")

        assert "for a node that holds a trial (1 CPU); it is asked for" in checked.stdout
        assert "1 node × 1 CPU: 1 trial of 1 CPU at once" in checked.stdout
        assert "2 answer" in checked.stdout
        assert (
            "for a node that holds a trial (1 CPU): none of 1 so far; the autoscaler is asked for it" in started.stdout
        )
        assert "It trains." in started.stdout
        assert sorted(rows(tmp_path, "submitted")) == [0, 1]


@pytest.mark.exhaustive
def test_a_trial_that_no_node_type_holds_ends_the_wait_in_words(tmp_path: Path):
    with autoscaled_cluster(max_workers=1) as cluster:
        spec = write_spec(tmp_path, "large", "digits", more="resources: {cpus_per_trial: 2}")

        done = cluster.vae_search(
            tmp_path,
            *("run", spec, "--address", cluster.gcs_address, "--store", tmp_path / "store", "--wait-for-nodes", 5),
            code=4,
        )

        assert "resources: a trial needs 2 CPUs, and no node that holds it came within 5 s" in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 3
