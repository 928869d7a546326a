"""Demand for nodes as placement groups. Ray's are replaced by ones that are placed when a test says so."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from vae_search.runtime.cluster import autoscaler
from vae_search.runtime.cluster.autoscaler import QUIET_S, NodeDemand
from vae_search.spec.sections import Resources

pytestmark = pytest.mark.needs_ray


@dataclass(frozen=True)
class Id:
    number: int

    def hex(self) -> str:
        return f"{self.number:04x}"


@dataclass(frozen=True)
class Group:
    id: Id
    bundles: list[dict[str, float]]
    labels: list[dict[str, str]] | None


@dataclass
class Cluster:
    """The placement groups that wait or are placed."""

    groups: list[Group] = field(default_factory=list)
    placed: set[Id] = field(default_factory=set)
    made: int = 0
    now_s: float = 0.0

    avoided: tuple[str, ...] = ()

    def demand(self, resources: Resources) -> NodeDemand:
        return NodeDemand(resources, monotonic=lambda: self.now_s, avoided=lambda: self.avoided)

    def add(self, bundles: list[dict[str, float]], *, bundle_label_selector: list[dict[str, str]] | None) -> Group:
        self.made += 1
        self.groups.append(Group(Id(self.made), bundles, bundle_label_selector))
        return self.groups[-1]

    def table(self) -> dict[str, dict[str, str]]:
        return {group.id.hex(): {"state": "CREATED" if group.id in self.placed else "PENDING"} for group in self.groups}


@pytest.fixture
def cluster(monkeypatch) -> Iterator[Cluster]:
    found = Cluster()
    monkeypatch.setattr(autoscaler, "placement_group", found.add)
    monkeypatch.setattr(autoscaler, "remove_placement_group", found.groups.remove)
    monkeypatch.setattr(autoscaler, "placement_group_table", found.table)
    return found


def test_each_slot_is_a_group_of_its_own_so_that_any_of_them_brings_a_node(cluster):
    demand = cluster.demand(Resources(cpus_per_trial=2, labels={"zone": "east"}))

    demand.ask_for(3)
    demand.ask_for(3)

    assert [group.bundles for group in cluster.groups] == [[{"CPU": 2.0}]] * 3
    assert [group.labels for group in cluster.groups] == [[{"zone": "east"}]] * 3
    assert cluster.made == 3


def test_what_is_not_needed_any_more_is_withdrawn(cluster):
    demand = cluster.demand(Resources())

    demand.ask_for(5)
    demand.ask_for(2)
    assert len(cluster.groups) == 2

    demand.ask_for(0)
    assert cluster.groups == []


def test_a_slot_that_has_come_is_left_to_the_trials_and_to_those_of_other_sweeps(cluster):
    demand = cluster.demand(Resources())
    demand.ask_for(4)

    cluster.placed.add(cluster.groups[1].id)
    demand.ask_for(4)
    assert cluster.groups == []  # the others would take the slot as soon as it is given back

    cluster.now_s += QUIET_S / 2
    demand.ask_for(3)
    assert cluster.groups == []

    cluster.now_s += QUIET_S / 2
    demand.ask_for(3)
    assert len(cluster.groups) == 3


def test_a_node_that_is_avoided_is_not_asked_for_its_slots(cluster):
    demand = cluster.demand(Resources(labels={"zone": "east"}))
    demand.ask_for(2)

    cluster.avoided = ("b", "a")
    demand.ask_for(2)

    assert [group.labels for group in cluster.groups] == [[{"zone": "east", "ray.io/node-id": "!in(a,b)"}]] * 2
