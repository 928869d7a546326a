"""Pareto fronts and their hypervolume: pure functions."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from operator import itemgetter

from vae_search.core.criteria import CRITERIA, Criteria
from vae_search.core.measurements import is_collapsed

Point = tuple[float | None, float | None, float | None]


def point_of(criteria: Criteria, values: Sequence[float | None]) -> Point:
    """The point of a trial, of each coordinate less being better; criteria that there are not decide nothing.

    Args:
        values: as measured, in the order of the criteria, at most three.
    """
    known = dict(zip(criteria.names, criteria.minimised(values), strict=True))
    metrics = [value for name, value in known.items() if name not in CRITERIA]
    absent = [name for name in CRITERIA if name not in known]
    filled = known | dict(zip(absent, metrics, strict=False))
    neg_elbo, second, third = (filled.get(name) for name in CRITERIA)
    return (neg_elbo, second, third)


def front(points: Sequence[Point]) -> list[int]:
    """The positions of the points that no other point dominates, in their order. O(n log n).

    One point dominates another if it is nowhere greater and somewhere less; equal points do not dominate each other.
    None is worse than any number. So a criterion that nobody has (sweeps of a few epochs have no instability) decides
    nothing, and a point without a value is never better for it.
    """
    keys = [tuple((value is None, 0.0 if value is None else value) for value in point) for point in points]
    best = set()
    # Whoever dominates a point comes before it in this order. Of those, only the least third value for each second
    # value matters: a staircase whose second values rise while its third values fall.
    seconds: list[tuple[bool, float]] = []
    thirds: list[tuple[bool, float]] = []
    for key in sorted(set(keys)):
        _, second, third = key
        place = bisect_right(seconds, second)
        if place and thirds[place - 1] <= third:
            continue
        best.add(key)
        begin = place - 1 if place and seconds[place - 1] == second else place
        end = place
        while end < len(thirds) and thirds[end] >= third:
            end += 1
        seconds[begin:end], thirds[begin:end] = [second], [third]
    return [position for position, key in enumerate(keys) if key in best]


def front_of_learners(points: Sequence[Point], rates: Sequence[float | None]) -> list[int]:
    """The `front` of the models that have not collapsed, or of all if all have.

    What never learns can be as small as one likes, and would be on every front of cost. (Its instability is high: a
    tenth of what there is to learn counts as its stagnation. The rate is the same one in both.)

    Args:
        rates: of each point, KL in nats per image.
    """
    learners = [position for position, rate in enumerate(rates) if not is_collapsed(rate)]
    chosen = learners or [*range(len(points))]
    return [chosen[place] for place in front([points[position] for position in chosen])]


def places(points: Sequence[tuple[float, ...]]) -> list[int]:
    """The place of each point, 0 the best: by the front that it is in, and within one by crowding; equal ones share it.

    Front 0 is what no point dominates, front 1 what no other dominates once front 0 is gone, and so on. Within a front
    those come first whose neighbours are far (Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm:
    NSGA-II", sections III.A and III.B). Two criteria take O(n log n).
    """
    fronts: list[list[tuple[float, ...]]] = []
    for point in sorted(set(points)):  # whoever dominates a point comes before it
        low, high = 0, len(fronts)
        while low < high:  # what a front dominates, all fronts before it dominate
            middle = (low + high) // 2
            low, high = (middle + 1, high) if _dominated(point, fronts[middle]) else (low, middle)
        if low == len(fronts):
            fronts.append([])
        fronts[low].append(point)
    keys = {
        point: (number, -distance)
        for number, members in enumerate(fronts)
        for point, distance in zip(members, _crowding(members), strict=True)
    }
    order = sorted(keys[point] for point in points)
    first = {key: position for position, key in reversed([*enumerate(order)])}
    return [first[keys[point]] for point in points]


def hypervolume(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """Hypervolume: the space below `reference` that the points dominate; of two criteria an area, of three a volume.

    The measure of Zitzler and Thiele 1998 ("Multiobjective Optimization Using Evolutionary Algorithms"), exactly, in
    slices along the last criterion: of n points O(n log n) for two criteria, O(n² log n) for three. A point that is
    not below the reference in every criterion adds nothing.
    """
    inside = [point for point in points if all(value < limit for value, limit in zip(point, reference, strict=True))]
    inside.sort(key=itemgetter(-1))
    if len(reference) == 2:
        area, first = 0.0, reference[0]
        for x, y in inside:
            if x < first:
                area += (first - x) * (reference[1] - y)
                first = x
        return area
    volume = 0.0
    for count, (low, high) in enumerate(pairwise([*(point[-1] for point in inside), reference[-1]]), start=1):
        if high > low:
            volume += (high - low) * hypervolume([point[:-1] for point in inside[:count]], reference[:-1])
    return volume


def running_hypervolume(points: Sequence[tuple[float, ...] | None], reference: tuple[float, ...]) -> list[float]:
    """The hypervolume after each of `points`; None stands for one that adds nothing."""
    members: list[tuple[float, ...]] = []
    volume, found = 0.0, []
    for point in points:
        if point is not None and not any(_covers(member, point) for member in members):
            members = [member for member in members if not _covers(point, member)] + [point]
            volume = hypervolume(members, reference)
        found.append(volume)
    return found


def staircase(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of two criteria that no other dominates, the first criterion rising and the second falling."""
    found: list[tuple[float, float]] = []
    for point in sorted(points):
        if not found or point[1] < found[-1][1]:
            found.append(point)
    return found


def _covers(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """True if `one` is nowhere greater."""
    return all(mine <= its for mine, its in zip(one, other, strict=True))


def _dominated(point: tuple[float, ...], front: Sequence[tuple[float, ...]]) -> bool:
    """True if a member dominates `point`, which comes after all of them in the order of tuples."""
    members = front[-1:] if len(point) == 2 else front  # of two criteria, the last member has the least second one
    return any(_covers(member, point) for member in members)


def _crowding(members: Sequence[tuple[float, ...]]) -> list[float]:
    """The crowding distance of each member of a front; infinite at its ends."""
    distances = [0.0] * len(members)
    for values in zip(*members, strict=True):
        order = sorted(range(len(values)), key=values.__getitem__)
        distances[order[0]] = distances[order[-1]] = inf
        width = values[order[-1]] - values[order[0]]
        for before, place, after in zip(order, order[1:], order[2:], strict=False):
            distances[place] += (values[after] - values[before]) / width if width else 0.0
    return distances
