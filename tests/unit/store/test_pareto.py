"""Fronts, places and volumes by their definitions, applied to every pair and every cell."""

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume  # it has no public one; compared with, not used

from vae_search.core.criteria import Criteria
from vae_search.store.queries.pareto import front, hypervolume, places, point_of, running_hypervolume, staircase

COORDINATES = st.integers(0, 6).map(float)
POINTS = st.integers(1, 3).flatmap(lambda width: st.lists(st.tuples(*[COORDINATES] * width), min_size=1, max_size=30))


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def fronts_of(points: list[tuple[float, ...]]) -> list[set[tuple[float, ...]]]:
    """Peeled off one by one."""
    left, found = set(points), []
    while left:
        found.append({point for point in left if not any(dominates(other, point) for other in left)})
        left -= found[-1]
    return found


@settings(deadline=None)
@given(st.lists(st.tuples(*[COORDINATES] * 3), max_size=40))
def test_the_front_is_what_comparing_all_pairs_leaves(points):
    left = [place for place, point in enumerate(points) if not any(dominates(other, point) for other in points)]

    assert front(points) == left


@settings(deadline=None)
@given(POINTS)
def test_places_go_front_by_front_and_equal_points_share_one(points):
    found = dict(zip(points, places(points), strict=True))

    assert places(points) == [found[point] for point in points]
    before = 0
    for members in fronts_of(points):
        count = sum(point in members for point in points)
        assert all(before <= found[point] < before + count for point in members)
        before += count


def test_within_a_front_the_ends_come_first_and_then_those_that_stand_alone():
    points = [(0.0, 10.0), (1.0, 9.0), (1.5, 8.5), (6.0, 4.0), (10.0, 0.0), (11.0, 11.0)]

    assert places(points) == [0, 4, 3, 2, 0, 5]


def test_one_value_is_placed_by_its_rank():
    assert places([(3.0,), (1.0,), (3.0,), (2.0,)]) == [2, 0, 2, 1]


def test_criteria_that_are_left_out_decide_nothing():
    two, three = (Criteria(names=("neg_elbo", *names)) for names in (("train_flops",), ("train_flops", "instability")))

    assert front([point_of(two, (1.0, 9.0)), point_of(two, (2.0, 9.0))]) == [0]
    assert front([point_of(three, (1.0, 9.0, 2.0)), point_of(three, (2.0, 9.0, 1.0))]) == [0, 1]


def test_of_a_criterion_of_which_more_is_better_the_point_has_the_negative():
    criteria = Criteria(names=("neg_elbo", "metric_ssim"), maximised=frozenset({"metric_ssim"}))

    assert point_of(criteria, (90.0, 0.5)) == (90.0, -0.5, None)
    assert point_of(criteria, (90.0, None)) == (90.0, None, None)


def counted(points: list[tuple[float, ...]], reference: tuple[float, ...]) -> int:
    """The unit cells below the reference that some point dominates, one by one."""
    cells = product(*(range(int(limit)) for limit in reference))
    return sum(any(all(mine <= at for mine, at in zip(point, cell, strict=True)) for point in points) for cell in cells)


@settings(deadline=None)
@given(st.integers(2, 3).flatmap(lambda width: st.lists(st.tuples(*[COORDINATES] * width), min_size=1, max_size=20)))
def test_a_hypervolume_is_the_number_of_unit_cells_that_are_dominated(points):
    reference = (5.0, 6.0, 4.0)[: len(points[0])]

    assert hypervolume(points, reference) == counted(points, reference)


@given(POINTS.filter(lambda points: len(points[0]) == 3))
def test_hypervolumes_are_those_of_optuna(points):
    reference = (6.0, 6.0, 6.0)

    assert hypervolume(points, reference) == compute_hypervolume(np.array(points), np.array(reference))


@settings(deadline=None)
@given(POINTS.filter(lambda points: len(points[0]) > 1), st.integers(0, 5))
def test_a_running_hypervolume_is_that_of_all_points_so_far(points, gap):
    reference = (5.0, 6.0, 4.0)[: len(points[0])]
    with_a_gap = [*points[:gap], None, *points[gap:]]

    found = running_hypervolume(with_a_gap, reference)

    known = [[point for point in with_a_gap[: place + 1] if point is not None] for place in range(len(with_a_gap))]
    assert found == [hypervolume(each, reference) for each in known]


@settings(deadline=None)
@given(POINTS.filter(lambda points: len(points[0]) == 2))
def test_a_staircase_is_the_front_with_each_place_once(points):
    assert staircase(points) == sorted(fronts_of(points)[0])


def test_nothing_is_worth_nothing():
    assert hypervolume([], (1.0, 1.0)) == hypervolume([(0.0, 1.0)], (1.0, 1.0)) == 0.0
    assert hypervolume([], (1.0, 1.0, 1.0)) == 0.0
    assert running_hypervolume([None], (1.0, 1.0)) == [0.0]
