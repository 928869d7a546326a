"""Which trials no other trial beats in everything that counts: a pure function of a few columns."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import inf

CRITERIA = ("neg_elbo", "instability", "train_flops")  # each the less, the better

Point = tuple[float | None, float | None, float | None]


def point_of(values: Mapping[str, float | None]) -> Point:
    """The point with these criteria; the others decide nothing."""
    neg_elbo, instability, train_flops = (values.get(name) for name in CRITERIA)
    return (neg_elbo, instability, train_flops)


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


def _dominated(point: tuple[float, ...], front: Sequence[tuple[float, ...]]) -> bool:
    """Whether a member dominates `point`, which comes after all of them in the order of tuples."""
    members = front[-1:] if len(point) == 2 else front  # of two criteria, the last member has the least second one
    return any(all(mine <= its for mine, its in zip(member, point, strict=True)) for member in members)


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
