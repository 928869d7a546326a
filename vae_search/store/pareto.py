"""Which trials no other trial beats in everything that counts: a pure function of a few columns."""

from bisect import bisect_right
from collections.abc import Sequence

CRITERIA = ("neg_elbo", "instability", "train_flops")  # each the less, the better

Point = tuple[float | None, float | None, float | None]


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
