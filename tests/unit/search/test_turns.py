"""Turns of confirm runs: on any number of workers they end together, and no run is trained twice at one time."""

import heapq

import pytest

from vae_search.search.planning.turns import turn_epochs


def makespan(seeds: int, workers: int, *, epochs: int, judge_epochs: float) -> float:
    """End of the last run, in epochs, with the order that confirm runs are trained in."""
    turns = turn_epochs(seeds, workers=workers, epochs=epochs, judge_epochs=judge_epochs)
    fresh = sorted(range(1, seeds + 1), key=lambda seed: (seed not in turns, seed))
    waiting: dict[int, float] = {}  # seed -> epochs done
    free = [(0.0, worker) for worker in range(workers)]
    gives_way: list[tuple[float, int]] = []
    last = 0.0
    while fresh or waiting or gives_way:
        now, worker = heapq.heappop(free)
        for end, seed in [each for each in gives_way if each[0] <= now]:
            gives_way.remove((end, seed))
            waiting[seed] = turns[seed]
        if fresh:
            seed = fresh.pop(0)
            takes = turns.get(seed, epochs + judge_epochs)
            if seed in turns:
                gives_way.append((now + takes, seed))
        elif waiting:
            seed = min(waiting, key=waiting.__getitem__)
            takes = epochs + judge_epochs - waiting.pop(seed)
        elif gives_way:  # nothing to do before one has given way
            heapq.heappush(free, (min(gives_way)[0], worker))
            continue
        else:
            break
        last = max(last, now + takes)
        heapq.heappush(free, (now + takes, worker))
    return last


@pytest.mark.parametrize("seeds", range(1, 8))
@pytest.mark.parametrize("workers", range(1, 7))
@pytest.mark.parametrize("judge_epochs", [0.0, 12.5])
def test_all_runs_end_when_the_workers_have_shared_the_work(seeds, workers, judge_epochs):
    found = makespan(seeds, workers, epochs=200, judge_epochs=judge_epochs)

    assert found <= (200 + judge_epochs) * max(1, seeds / workers) + 2  # an epoch is not divided


def test_three_seeds_on_two_workers_take_the_time_of_one_and_a_half():
    assert turn_epochs(3, workers=2, epochs=200, judge_epochs=0.0) == {2: 100}


@pytest.mark.parametrize(("seeds", "workers"), [(2, 2), (4, 2), (1, 8), (3, 1)])
def test_nobody_gives_way_where_rounds_are_full(seeds, workers):
    assert turn_epochs(seeds, workers=workers, epochs=200, judge_epochs=10.0) == {}
