"""How many trials run, as nodes of a cluster come and go. The cluster's list of nodes is given."""

import pytest
import ray

from vae_search.runtime import ray_cluster
from vae_search.runtime.ray_cluster import LOOK_EVERY_S, Slots
from vae_search.search.capacity import NodeCapacity
from vae_search.spec.sections import Resources

pytestmark = pytest.mark.needs_ray

TWO_CORES = NodeCapacity(node_id="n", resources={"CPU": 2.0})


class Cluster:
    """Its nodes, its clock, and how often it was asked."""

    def __init__(self) -> None:
        self.nodes: list[NodeCapacity] = []
        self.now_s = 0.0
        self.asked = 0

    def list_nodes(self) -> list[NodeCapacity]:
        self.asked += 1
        return self.nodes


@pytest.fixture
def joined(monkeypatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray_cluster, "cluster_nodes", found.list_nodes)
    return found


def test_before_a_cluster_is_joined_what_is_known_counts():
    slots = Slots(Resources(), before=4, monotonic=lambda: 0.0)

    assert (slots.count(), slots.limit()) == (4, 5)


def test_nodes_that_come_and_go_are_noticed_but_looked_up_only_now_and_then(joined):
    slots = Slots(Resources(), before=4, monotonic=lambda: joined.now_s)
    joined.nodes = [TWO_CORES]
    assert (slots.count(), slots.limit()) == (2, 3)

    joined.nodes = [TWO_CORES] * 4
    assert (slots.limit(), joined.asked) == (3, 1)
    joined.now_s += LOOK_EVERY_S
    assert (slots.count(), slots.limit(), joined.asked) == (8, 10, 2)

    joined.nodes = []
    joined.now_s += LOOK_EVERY_S
    assert (slots.count(), slots.limit()) == (1, 1)  # forecasts divide by it, and an autoscaler needs a demand


def test_the_spec_may_want_fewer(joined):
    joined.nodes = [TWO_CORES] * 4
    slots = Slots(Resources(concurrency=3), before=1, monotonic=lambda: joined.now_s)

    assert (slots.count(), slots.limit()) == (3, 3)
