"""Fronts and places by the definitions, applied to every pair."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vae_search.store.pareto import front, places, point_of

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
    rows = [{"neg_elbo": 1.0, "train_flops": 9.0}, {"neg_elbo": 2.0, "train_flops": 9.0}]

    assert front([point_of(row) for row in rows]) == [0]
    assert front([point_of(row | {"instability": 2.0 - place}) for place, row in enumerate(rows)]) == [0, 1]
