"""One bad node of many: what a lost worker costs its trial, and which nodes get the next worker."""

import heapq
import random

import pytest

from vae_search.runtime.tune.lost_workers import LONGEST_PAUSE_S, LOSSES_ON_AVOIDED_NODES, RETRY_PAUSE_S, LostWorkers

BAD, GOOD = "a" * 56, "b" * 56
BOTH = (BAD, GOOD)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def workers(clock, warnings) -> LostWorkers:
    return LostWorkers(max_retries=3, warn=warnings.append, monotonic=clock)


def test_a_run_has_used_up_its_retries_with_one_loss_more_than_there_are(workers):
    nodes = [f"{number}" * 56 for number in range(9)]

    ends = [workers.lost("000001", nodes[number], "it died", usable=nodes) for number in range(4)]

    assert ends == [False, False, False, True]
    assert workers.losses("000001") == 4
    assert workers.losses("000002") == 0


def test_retries_count_again_from_zero_after_a_later_checkpoint(workers):
    ends = []
    for epoch in range(1, 40):  # hours on spot nodes
        ends.append(workers.lost("000001", None, "it went", usable=BOTH))
        workers.saved("000001", epoch)

    assert not any(ends)


def test_the_same_checkpoint_again_is_no_progress(workers):
    workers.saved("000001", 5)
    ends = []
    for _ in range(5):
        ends.append(workers.lost("000001", None, "it died", usable=BOTH))
        workers.saved("000001", 5)  # the next worker reports what it has found

    assert ends == [False, False, False, True, True]


def test_a_node_that_lost_a_worker_is_avoided_for_a_while_that_grows_until_a_trial_ends_there(workers, clock):
    pauses = []
    for number in range(9):
        workers.lost(f"{number:06d}", BAD, "it died", usable=BOTH)
        began_s = clock.now_s
        while BAD in workers.avoided(BOTH):
            clock.now_s += 10.0
        pauses.append(clock.now_s - began_s)

    workers.trial_ended("000009", BAD)
    workers.lost("000010", BAD, "it died", usable=BOTH)
    began_s = clock.now_s
    while BAD in workers.avoided(BOTH):
        clock.now_s += 10.0

    assert pauses == [min(RETRY_PAUSE_S * 2**losses, LONGEST_PAUSE_S) for losses in range(9)]
    assert clock.now_s - began_s == RETRY_PAUSE_S


def test_it_is_named_once_after_three_in_a_row(workers, warnings):
    for number in range(6):
        workers.lost(f"{number:06d}", BAD, "ActorDiedError: no such file", usable=BOTH)

    (warning,) = warnings
    assert warning.startswith(f"node {BAD[:12]}: lost 3 workers in a row, the last by ActorDiedError: no such file\n")
    assert len(warning.splitlines()) == 2


def test_what_is_lost_on_an_avoided_node_costs_no_retry_though_it_has_an_end(workers):
    workers.exclude(BAD, "it has no GPU")

    ends = [workers.lost("000001", BAD, "it has no GPU", usable=BOTH) for _ in range(LOSSES_ON_AVOIDED_NODES + 1)]
    elsewhere = LostWorkers(max_retries=0, warn=print, monotonic=lambda: 0.0)
    elsewhere.exclude(BAD, "it has no GPU")

    assert ends == [False] * LOSSES_ON_AVOIDED_NODES + [True]
    assert not elsewhere.lost("000001", BAD, "it has no GPU", usable=BOTH)
    assert elsewhere.lost("000001", GOOD, "it died", usable=BOTH)


def test_nodes_that_are_all_in_trouble_are_not_avoided_and_their_losses_count(workers):
    for number, node in enumerate(BOTH):
        workers.lost(f"{number:06d}", node, "it died", usable=BOTH)

    assert workers.avoided(BOTH) == frozenset()
    assert workers.avoided([BAD]) == frozenset()  # the only one
    ends = [workers.lost("000009", BAD, "it died", usable=BOTH) for _ in range(4)]
    assert ends == [False, False, False, True]


def test_an_unfit_node_is_avoided_for_good_named_once_and_not_healed_by_an_end(workers, clock, warnings):
    workers.exclude(BAD, "TensorFlow sees no GPU")
    workers.exclude(BAD, "TensorFlow sees no GPU")
    workers.trial_ended("000001", BAD)
    clock.now_s += 10 * LONGEST_PAUSE_S

    assert workers.avoided(BOTH) == {BAD}
    assert workers.avoided([GOOD]) == frozenset()
    assert warnings == [f"node {BAD[:12]}: gets no more trials of this sweep: TensorFlow sees no GPU"]


def simulate(*, nodes: int, draw: random.Random) -> tuple[int, bool, list[str]]:
    """Train 400 trials of a minute on a cluster whose first node loses every worker in seconds.

    Returns:
        Trials that ended, whether the sweep was given up, and the warnings.
    """
    clock, warnings = Clock(), []
    workers = LostWorkers(max_retries=3, warn=warnings.append, monotonic=clock)
    names = [f"{number:056d}" for number in range(nodes)]
    waiting, ended = [f"{trial:06d}" for trial in range(400)], 0
    busy: list[tuple[float, str, str]] = []
    while ended < 400:
        free = [name for name in names if name not in {node for _, node, _ in busy}]
        free = [name for name in free if name not in workers.avoided(names)]
        while waiting and free:
            node = free.pop(draw.randrange(len(free)))
            lasts_s = 3.0 if node == names[0] else draw.uniform(30.0, 90.0)
            heapq.heappush(busy, (clock.now_s + lasts_s, node, waiting.pop(0)))
        clock.now_s, node, key = heapq.heappop(busy)
        if node != names[0]:
            workers.trial_ended(key, node)
            ended += 1
        elif workers.lost(key, node, "it died", usable=names):
            return ended, True, warnings
        else:
            waiting.insert(0, key)  # as Tune does: at once
    return ended, False, warnings


@pytest.mark.parametrize("nodes", [2, 5, 50])
def test_a_node_that_loses_every_worker_ends_no_sweep_and_is_named(nodes):
    found = [simulate(nodes=nodes, draw=random.Random(seed)) for seed in range(5)]

    assert [(ended, given_up) for ended, given_up, _ in found] == [(400, False)] * 5
    assert all(f"node {0:012d}: lost 3 workers in a row" in warnings[0] for *_, warnings in found)
