"""Small drawings in SVG, which need no script: sparklines and learning curves."""

from collections.abc import Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 120, 28
CURVE_WIDTH, CURVE_HEIGHT = 720, 240
MARGIN = 2
MOST_POINTS = 400  # of a curve

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that fills its box.

    Args:
        points: as SVG's `polyline` takes them.
        low: least value, at the bottom of the box.
        high: greatest value, at its top.
    """

    points: str
    width: int
    height: int
    first_x: float
    last_x: float
    low: float
    high: float


def sparkline(best_so_far: Sequence[Point], *, until: int) -> Line | None:
    """Steps of the best value so far; None before there are two trials to draw.

    Args:
        best_so_far: trials that were better than all before them, and their values.
        until: number of trials that have ended.
    """
    if not best_so_far or until < 2:
        return None
    steps: list[Point] = []
    for trial, value in best_so_far:
        if steps:
            steps.append((trial, steps[-1][1]))
        steps.append((trial, value))
    steps.append((max(until - 1, steps[-1][0]), steps[-1][1]))
    return _line(steps, width=SPARK_WIDTH, height=SPARK_HEIGHT)


def curve(points: Sequence[Point]) -> Line | None:
    """A learning curve; None if there is no point. Long ones are thinned, the last point stays."""
    if not points:
        return None
    stride = -(-len(points) // MOST_POINTS)
    kept = [*reversed([*reversed(points)][::stride])]
    return _line(kept, width=CURVE_WIDTH, height=CURVE_HEIGHT)


def _line(points: Sequence[Point], *, width: int, height: int) -> Line:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    first, last, low, high = min(xs), max(xs), min(ys), max(ys)

    def placed(x: float, y: float) -> str:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low) if high > low else 0.5
        return f"{MARGIN + across * (width - 2 * MARGIN):.1f},{height - MARGIN - up * (height - 2 * MARGIN):.1f}"

    text = " ".join(placed(x, y) for x, y in points)
    return Line(points=text, width=width, height=height, first_x=first, last_x=last, low=low, high=high)
