"""How many trials run, as nodes and other sweeps come and go. The cluster's list of free nodes is given."""

import pytest
import ray

from vae_search.runtime import ray_cluster
from vae_search.runtime.ray_cluster import LATELY_S, LOOK_EVERY_S, Slots
from vae_search.search.capacity import NodeCapacity
from vae_search.spec.sections import Resources

pytestmark = pytest.mark.needs_ray

TWO_CORES = NodeCapacity(node_id="n", resources={"CPU": 2.0})


class Cluster:
    """What is free on its nodes, the sweep's own trials on them, its clock, and how often it was asked."""

    def __init__(self) -> None:
        self.free: list[NodeCapacity] = []
        self.training = 0
        self.now_s = 0.0
        self.asked = 0

    def list_free(self) -> list[NodeCapacity]:
        self.asked += 1
        return self.free

    def slots(self, resources: Resources) -> Slots:
        slots = Slots(resources, before=4, monotonic=lambda: self.now_s)
        slots.training = lambda: self.training
        return slots


@pytest.fixture
def joined(monkeypatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray_cluster, "free_nodes", found.list_free)
    return found


def test_before_a_cluster_is_joined_what_is_known_counts():
    slots = Slots(Resources(), before=4, monotonic=lambda: 0.0)

    assert (slots.count(), slots.limit(), slots.free()) == (4, 5, 0)


def test_nodes_that_come_and_go_are_noticed_but_looked_up_only_now_and_then(joined):
    slots = joined.slots(Resources())
    joined.free = [TWO_CORES]
    assert (slots.count(), slots.limit()) == (2, 3)

    joined.free = [TWO_CORES] * 4
    assert (slots.limit(), joined.asked) == (3, 1)
    joined.now_s += LOOK_EVERY_S
    assert (slots.count(), slots.limit(), joined.asked) == (8, 9, 2)

    joined.free = []
    joined.now_s += LATELY_S
    assert (slots.count(), slots.limit()) == (1, 1)  # forecasts divide by it, and an autoscaler needs a demand


def test_workers_that_start_keep_their_slots_though_they_train_nothing_yet(joined):
    slots = joined.slots(Resources())
    joined.free = [TWO_CORES] * 4
    slots.limit()

    joined.free = []
    joined.now_s += LATELY_S / 2
    assert slots.count() == 8

    joined.training = 8
    joined.now_s += LATELY_S
    assert slots.count() == 8


def test_slots_that_another_sweep_has_are_not_asked_for(joined):
    slots = joined.slots(Resources())
    joined.free = []  # of a cluster of 200, say
    joined.training = 3

    assert (slots.count(), slots.limit(), slots.free()) == (3, 4, 0)


def test_slots_of_a_node_that_is_avoided_are_none(joined):
    slots = joined.slots(Resources())
    slots.avoided = lambda: {"bad"}
    joined.free = [TWO_CORES, NodeCapacity(node_id="bad", resources={"CPU": 4.0})]

    assert (slots.count(), slots.free()) == (2, 2)


def test_the_spec_may_want_fewer(joined):
    joined.free = [TWO_CORES] * 4
    slots = joined.slots(Resources(concurrency=3))

    assert (slots.count(), slots.limit()) == (3, 3)


def test_another_number_of_trials_at_once_holds_from_the_next_question_on(joined):
    joined.free = [TWO_CORES] * 4
    slots = joined.slots(Resources(concurrency=3))
    before = slots.limit()

    slots.resources = lambda: Resources(concurrency=5)
    raised = slots.limit()
    slots.resources = lambda: Resources(concurrency=1)

    assert (before, raised, slots.limit(), slots.count()) == (3, 5, 1, 1)
