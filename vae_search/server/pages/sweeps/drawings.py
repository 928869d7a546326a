"""Small drawings in SVG, which need no script: sparklines, and learning curves with the rungs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

SPARK_WIDTH, SPARK_HEIGHT = 120, 28
MARGIN = 2
CHART_HEIGHT = 240  # pixels of a page, of the plot itself; its width is the page's
BOX = 1000.0  # units of a chart's lines in either direction: they are stretched to the page, and texts are not
MOST_POINTS = 400  # of a curve
COLOURS = 6  # of the style sheet, used in turn
LABELLED = 12  # curves at most that have their name beside them
TICKS = 4
LABEL_HEIGHT = 14  # pixels above a level, for its number
CLOSEST = 5.0  # percent of the width between two numbers below the axis

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
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One curve of a chart.

    Args:
        kind: class of the style sheet: `best`, or `c0` and so on.
        points: in units of `BOX`.
        x: of the last point, percent of the width.
        y: of the last point, pixels from the top.
        words: what it is and how far it has come.
    """

    name: str
    kind: str
    points: str
    x: float
    y: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number beside an axis, at a percentage of the width or at pixels from the top."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Learning curves over one axis of epochs.

    Args:
        rungs: lines at which trials are compared.
        numbers: below the axis.
        levels: numbers beside the vertical axis, with their lines.
        is_cut: whether values lie above the top.
    """

    height: int
    curves: tuple[Curve, ...]
    rungs: tuple[Tick, ...]
    numbers: tuple[Tick, ...]
    levels: tuple[Tick, ...]
    is_labelled: bool
    is_cut: bool


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
    xs, ys = [x for x, _ in steps], [y for _, y in steps]
    first, last, low, high = min(xs), max(xs), min(ys), max(ys)

    def placed(x: float, y: float) -> str:
        across = (x - first) / (last - first) if last > first else 0.5
        down = (high - y) / (high - low) if high > low else 0.5
        width, height = SPARK_WIDTH - 2 * MARGIN, SPARK_HEIGHT - 2 * MARGIN
        return f"{MARGIN + across * width:.1f},{MARGIN + down * height:.1f}"

    return Line(
        points=" ".join(placed(x, y) for x, y in steps), width=SPARK_WIDTH, height=SPARK_HEIGHT, low=low, high=high
    )


def chart(
    curves: Sequence[tuple[str, Sequence[Point]]],
    *,
    best: Sequence[Point] = (),
    rungs: Sequence[int] = (),
    epochs: int,
) -> Chart | None:
    """Learning curves, lower is better; None if there is no point.

    Bad values, as first epochs have, are cut at three times as far above the median as that lies above the best. Long
    curves are thinned, the last point stays.

    Args:
        curves: names, and values by epoch.
        best: the curve to hold the others against.
        epochs: right end of the axis, if no curve goes further.
    """
    drawn = [(name, kept(points)) for name, points in curves if points]
    if not drawn:
        return None
    values = [value for _, points in (*drawn, ("", best)) for _, value in points]
    low, high = min(values), max(values)
    limit = median(values) + 3.0 * (median(values) - low)
    top = limit if low < limit < high else high
    margin = 0.06 * (top - low) or 0.5
    axis = _Axes(last=max(epochs, *(points[-1][0] for _, points in drawn)), low=low - margin, high=top + margin)
    found = [axis.curve(name, f"c{place % COLOURS}", points) for place, (name, points) in enumerate(drawn)]
    if best:
        found.insert(0, axis.curve("best so far", "best", kept(best)))
    return Chart(
        height=CHART_HEIGHT,
        curves=tuple(found),
        rungs=tuple(Tick(at=axis.x(rung), text=str(rung)) for rung in rungs),
        numbers=tuple(axis.numbers(rungs)),
        levels=tuple(axis.levels()),
        is_labelled=len(drawn) <= LABELLED,
        is_cut=top < high,
    )


def kept(points: Sequence[Point]) -> list[Point]:
    """At most `MOST_POINTS` of the points, the last one among them."""
    stride = -(-len(points) // MOST_POINTS)
    return [*reversed([*reversed(points)][::stride])]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    last: float
    low: float
    high: float

    def x(self, epoch: float) -> float:
        """Percent of the width, from epoch 0."""
        return round(100.0 * epoch / self.last, 2)

    def y(self, value: float) -> float:
        """Pixels from the top; negative above it."""
        return round(CHART_HEIGHT * (self.high - value) / (self.high - self.low), 1)

    def curve(self, name: str, kind: str, points: Sequence[Point]) -> Curve:
        """One curve, and a mark at its last point."""
        scale = BOX / CHART_HEIGHT
        (epoch, value), single = points[-1], len(points) == 1
        line = [*points, points[0]] if single else points
        return Curve(
            name=name,
            kind=kind,
            points=" ".join(f"{BOX / 100 * self.x(x):.1f},{scale * self.y(y):.1f}" for x, y in line),
            x=self.x(epoch),
            y=max(4.0, self.y(value)),
            words=f"{name}: {value:,.2f} nats after epoch {epoch:g}",
        )

    def numbers(self, rungs: Sequence[int]) -> Iterator[Tick]:
        """The rungs, or round epochs, and the last one, as far as their numbers have room."""
        before = -CLOSEST
        for epoch in rungs or _round_values(0, self.last):
            if self.x(epoch) - before >= CLOSEST and 100.0 - self.x(epoch) >= 2 * CLOSEST:
                before = self.x(epoch)
                yield Tick(at=before, text=f"{epoch:g}")
        yield Tick(at=100.0, text=f"{self.last:g}")

    def levels(self) -> Iterator[Tick]:
        """Round values with room for their number."""
        values = _round_values(self.low, self.high)
        digits = max(0, -math.floor(math.log10(values[1] - values[0]))) if len(values) > 1 else 2
        for value in values:
            if self.y(value) >= LABEL_HEIGHT:
                yield Tick(at=self.y(value), text=f"{value:,.{digits}f}".replace("-", "−"))


def _round_values(low: float, high: float) -> list[float]:
    """Round numbers from one value to another, about `TICKS` of them."""
    raw = (high - low) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = magnitude * next(nice for nice in (1, 2, 5, 10) if nice * magnitude >= raw)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
