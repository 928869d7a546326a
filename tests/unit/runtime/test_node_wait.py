"""Waiting for a node that holds a trial. The nodes and the clock are given."""

from collections.abc import Callable

import pytest

from vae_search.errors import ClusterTrouble
from vae_search.runtime.node_wait import await_node
from vae_search.search.capacity import AUTOSCALER_S, NodeCapacity
from vae_search.spec.sections import Resources

HEAD = NodeCapacity(node_id="head", resources={"CPU": 0.0})
WORKER = NodeCapacity(node_id="worker", resources={"CPU": 1.0})


class Cluster:
    """Nodes by the time since the start, and what was said of them."""

    def __init__(self, nodes: Callable[[float], list[NodeCapacity]]) -> None:
        self.now_s = 0.0
        self.nodes = nodes
        self.said: list[str] = []

    def wait(
        self,
        *,
        wait_s: float | None = None,
        grows: bool = False,
        stop_s: float = 1e9,
        resources: Resources | None = None,
    ) -> bool:
        def sleep(seconds: float) -> None:
            self.now_s += seconds

        return await_node(
            resources or Resources(),
            wait_s=wait_s,
            grows=grows,
            nodes=lambda: self.nodes(self.now_s),
            stop_requested=lambda: self.now_s >= stop_s,
            on_phase=self.said.append,
            monotonic=lambda: self.now_s,
            sleep=sleep,
        )


def test_a_cluster_with_room_is_not_waited_for():
    cluster = Cluster(lambda now_s: [HEAD, WORKER])

    assert cluster.wait()
    assert (cluster.now_s, cluster.said) == (0.0, [])


def test_an_autoscaler_is_waited_for_and_that_is_said_once():
    cluster = Cluster(lambda now_s: [HEAD] if now_s < 300 else [HEAD, WORKER])

    assert cluster.wait(grows=True)
    assert cluster.said == [
        "waiting up to 1200 s for a node that holds a trial (1 CPU): none of 1 so far; the autoscaler is asked for it"
    ]


def test_a_driver_that_starts_before_its_workers_waits_as_long_as_it_is_told():
    cluster = Cluster(lambda now_s: [HEAD] if now_s < 50 else [HEAD, WORKER])

    assert cluster.wait(wait_s=60)
    assert cluster.said == ["waiting up to 60 s for a node that holds a trial (1 CPU): none of 1 so far"]


def test_a_change_of_the_cluster_is_said_while_none_of_its_nodes_is_enough():
    cluster = Cluster(lambda now_s: [HEAD] if now_s < 5 else [HEAD, WORKER])

    with pytest.raises(ClusterTrouble):
        cluster.wait(wait_s=20, resources=Resources(cpus_per_trial=2))

    assert [said.rpartition(":")[2] for said in cluster.said] == [" none of 1 so far", " none of 2 so far"]


def test_without_an_autoscaler_and_patience_the_sweep_ends_at_once_and_says_how_to_wait():
    cluster = Cluster(lambda now_s: [HEAD])

    with pytest.raises(ClusterTrouble) as raised:
        cluster.wait()

    assert cluster.now_s == 0.0
    assert str(raised.value) == (
        "resources.cpus_per_trial: the largest node has 0 CPUs, a trial needs 1 CPU. Lower it, or add a larger node.\n"
        "To wait for it: --wait-for-nodes SECONDS."
    )


def test_an_autoscaler_that_brings_nothing_is_given_up_in_words_about_it():
    cluster = Cluster(lambda now_s: [HEAD])

    with pytest.raises(ClusterTrouble) as raised:
        cluster.wait(grows=True, resources=Resources(labels={"zone": "east"}))

    assert cluster.now_s == pytest.approx(AUTOSCALER_S, abs=2)
    assert "a trial needs 1 CPU, zone=east, and no node that holds it came within 1200 s" in str(raised.value)
    assert "the largest node" not in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3


def test_a_stop_ends_the_wait():
    cluster = Cluster(lambda now_s: [HEAD])

    assert not cluster.wait(grows=True, stop_s=10)
    assert cluster.now_s == pytest.approx(10)
