"""How many trials fit into machines, and what is said if none does."""

import pytest

from vae_search.core.machine import Machine
from vae_search.errors import ClusterTrouble
from vae_search.search.capacity import (
    NodeCapacity,
    check_capacity,
    check_shared_memory,
    cluster_capacity,
    in_flight_limit,
    local_capacity,
    needs,
    slots_to_ask_for,
    trials_on,
)
from vae_search.spec.sections import Resources

GIB = 2**30


def node(*, labels: dict[str, str] | None = None, **resources: float) -> NodeCapacity:
    return NodeCapacity(node_id="n", resources=resources, labels=labels or {})


def test_a_trial_needs_what_it_names_and_nothing_of_the_rest():
    assert needs(Resources()) == {"CPU": 1.0}
    assert needs(Resources(cpus_per_trial=2, gpus_per_trial=0.25, memory="4GiB", custom={"fast_disk": 1})) == {
        **{"CPU": 2.0, "GPU": 0.25, "memory": 4.0 * GIB, "fast_disk": 1.0}
    }


@pytest.mark.parametrize(
    ("offered", "wanted", "trials"),
    [
        ({"CPU": 8}, {"cpus_per_trial": 3}, 2),
        ({"CPU": 8, "GPU": 1}, {"gpus_per_trial": 0.25}, 4),
        ({"CPU": 8, "GPU": 0.3}, {"gpus_per_trial": 0.1}, 3),  # 0.3 / 0.1 is 2.9999999999999996 in floats
        ({"CPU": 8}, {"gpus_per_trial": 0.25}, 0),
        ({"CPU": 2, "GPU": 8}, {"gpus_per_trial": 1}, 2),
        ({"CPU": 8, "memory": 10 * GIB}, {"memory": "4GiB"}, 2),
        ({"CPU": 8, "tpu": 1}, {"custom": {"tpu": 0.5}}, 2),
        ({"CPU": 8}, {"custom": {"tpu": 0.5}}, 0),
    ],
)
def test_the_scarcest_resource_decides(offered, wanted, trials):
    assert trials_on(node(**offered), Resources(**wanted)) == trials


def test_nodes_without_a_label_hold_nothing():
    east, west, none = node(CPU=4, labels={"zone": "east"}), node(CPU=2, labels={"zone": "west"}), node(CPU=9)

    assert cluster_capacity([east, west, none], Resources()) == 15
    assert cluster_capacity([east, west, none], Resources(labels={"zone": "east"})) == 4
    assert cluster_capacity([east, west, none], Resources(labels={"zone": "east", "kind": "spot"})) == 0


@pytest.mark.parametrize(
    ("reachable", "concurrency", "limit"),
    [(0, "auto", 1), (1, "auto", 2), (7, "auto", 8), (8, "auto", 9), (200, "auto", 225), (8, 3, 3), (2, 50, 3)],
)
def test_a_few_trials_are_asked_for_ahead_but_never_more_than_the_spec_allows(reachable, concurrency, limit):
    assert in_flight_limit(reachable, Resources(concurrency=concurrency)) == limit


@pytest.mark.parametrize(
    ("left", "in_flight", "free", "concurrency", "asked"),
    [
        (100, 1, 0, "auto", 99),  # one waits already, and is its own demand
        (100, 1, 0, 8, 7),
        (100, 9, 0, 8, 0),  # the spec has less than is in flight
        (3, 3, 0, "auto", 0),  # the last trials run
        (100, 1, 1, "auto", 0),  # a trial must not find its slot taken by what only asks for slots
        (10_000, 50, 0, "auto", 256),
    ],
)
def test_nodes_are_asked_for_all_that_the_sweep_could_use_at_once(left, in_flight, free, concurrency, asked):
    resources = Resources(concurrency=concurrency)

    assert slots_to_ask_for(left=left, in_flight=in_flight, free=free, resources=resources) == asked


@pytest.mark.parametrize(("slots_per_node", "trials"), [(1, 200), (1, 50), (8, 1000), (16, 5000)])
def test_a_cluster_grows_from_nothing_to_fifty_nodes_within_four_boots(slots_per_node, trials):
    nodes, boots, in_flight = 0, 0, 0
    while nodes < min(50, -(-trials // slots_per_node)):
        slots = nodes * slots_per_node
        in_flight = min(trials, in_flight_limit(slots, Resources()))  # all slots are the sweep's own
        asked = slots_to_ask_for(left=trials, in_flight=in_flight, free=0, resources=Resources())
        waiting = in_flight - min(in_flight, slots)
        nodes = min(50, nodes + -(-(waiting + asked) // slots_per_node))  # what the autoscaler adds at once
        boots += 1

    assert boots <= 4


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"cpus_per_trial": 9}, "resources.cpus_per_trial: the largest node has 8 CPUs, a trial needs 9 CPUs."),
        ({"gpus_per_trial": 0.5}, "resources.gpus_per_trial: the largest node has 0 GPUs, a trial needs 0.5 GPUs."),
        (
            {"memory": "2TiB"},
            "resources.memory: the largest node has 16.00 GiB of memory, a trial needs 2,048.00 GiB of memory.",
        ),
        ({"custom": {"tpu": 2}}, "resources.custom.tpu: the largest node has 0 tpu, a trial needs 2 tpu."),
        # No resource is short everywhere, but no node has them together.
        ({"cpus_per_trial": 8, "memory": "8GiB"}, "a trial needs 8 CPUs, 8.00 GiB of memory, but no node has all of"),
        (
            {"labels": {"zone": "mars"}},
            "a trial needs 1 CPU, but no node has all of it at once and the labels zone=mars",
        ),
    ],
)
def test_a_trial_that_would_wait_for_ever_is_refused_by_what_it_lacks(wanted, says):
    nodes = [node(CPU=8, memory=4 * GIB), node(CPU=2, memory=16 * GIB, labels={"zone": "east"})]

    with pytest.raises(ClusterTrouble) as refused:
        check_capacity(nodes, Resources(**wanted))

    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_node_that_holds_the_trial_is_enough():
    check_capacity([node(CPU=8)], Resources(cpus_per_trial=8))


def test_a_machine_holds_as_many_trials_as_its_cores_allow():
    machine = Machine(cores=8)

    assert local_capacity(Resources(cpus_per_trial=3), machine).trials == 2
    assert local_capacity(Resources(concurrency=5), machine).trials == 5
    assert local_capacity(Resources(concurrency=50), machine).trials == 8
    with pytest.raises(ClusterTrouble, match="a trial needs 9 cores, but this machine has 8"):
        local_capacity(Resources(cpus_per_trial=9), machine)


def test_memory_lowers_the_number_of_trials_and_the_sum_is_shown():
    machine = Machine(cores=64, memory_bytes=30 * 10**9)  # with 2 GB of images, 64 workers would take 174.8 GB

    found = local_capacity(Resources(), machine, data_bytes=2 * 10**9)

    assert (found.trials, found.lowered) == (10, True)
    assert found.sum == (
        "10 trials at once: the least of 64 cores, (30.0 GB of free memory - 2.0 GB of images) / 2.7 GB a worker"
    )


def test_the_memory_that_a_spec_asks_for_goes_before_the_estimate():
    machine = Machine(cores=8, memory_bytes=16 * GIB)

    assert local_capacity(Resources(memory="4GiB"), machine).trials == 4
    assert local_capacity(Resources(), machine).trials == 8


def test_a_machine_with_little_memory_trains_one_trial_at_a_time():
    found = local_capacity(Resources(), Machine(cores=2, memory_bytes=10**8), data_bytes=10**9)

    assert (found.trials, found.lowered) == (1, True)


def test_a_quota_is_named_and_an_allowance_of_the_spec_is_no_lowering():
    half = local_capacity(Resources(), Machine(cores=1, quota_cores=0.5))
    chosen = local_capacity(Resources(concurrency=2), Machine(cores=8, memory_bytes=10**11))

    assert (half.trials, half.lowered) == (1, True)
    assert half.sum == "1 trial at once: the least of 1 core (the container's quota: 0.5)"
    assert (chosen.trials, chosen.lowered) == (2, False)


def test_shared_memory_that_is_too_small_is_told_or_refused():
    assert check_shared_memory(Machine(cores=1, shared_memory_bytes=10**9), 10**9) is None
    assert check_shared_memory(Machine(cores=1), 10**12) is None  # macOS has none
    slow = check_shared_memory(Machine(cores=1, shared_memory_bytes=64 * 10**6), 10**9)
    assert slow is not None
    assert slow.endswith(
        " has 0.1 GB free, Ray's object store needs 1.0 GB for the images; it lies on the disk instead, which is slower"
    )
    with pytest.raises(ClusterTrouble, match=r"shm has 0\.1 GB free.*--shm-size"):
        check_shared_memory(Machine(cores=1, shared_memory_bytes=64 * 10**6), 11 * 10**9)
