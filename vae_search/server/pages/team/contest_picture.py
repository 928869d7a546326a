"""Geometry of a contest's picture: both sides seed by seed with intervals, and the gain that decided. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 420.0  # of the drawing, in its own units; a page shows it between 360 and 640 pixels wide
LEFT, RIGHT = 96.0, 12.0  # of the axis: room for the names of rows
TOP, ROW, AXIS, BETWEEN = 26.0, 26.0, 34.0, 18.0
TICKS = 5
MARGIN = 0.08  # of an axis beyond its outermost value


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One seed: filled if it testifies, with a ring if its weights are the artifact."""

    x: float
    testifies: bool
    is_artifact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a panel: an estimate between the ends of its interval, and the seeds that it is of."""

    label: str
    y: float
    estimate: float | None
    low: float | None
    high: float | None
    dots: tuple[Dot, ...] = ()
    tone: str = ""
    """`good` or `bad` where the interval must lie above 0"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number on an axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Rows over one axis.

    Args:
        marks: vertical lines with their names, such as 0.
    """

    title: str
    top: float
    bottom: float
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestPicture:
    """Panels below each other, and the same in words."""

    width: float
    height: float
    panels: tuple[Panel, ...]
    words: str


def contest_picture(facts: Mapping[str, Any]) -> ContestPicture | None:
    """Lay out the verdicts of `services.browsing.contest_facts`; None if nothing is left to be drawn."""
    sides = [(label, facts[side]) for label, side in (("champion", "champion"), ("candidate", "candidate"))]
    drawn = [(_side_label(label, side), side) for label, side in sides if side is not None and side["seeds"]]
    panels, top = [], 0.0
    if drawn:
        panels.append(_sides(drawn, top=top))
        top = panels[-1].bottom + AXIS + BETWEEN
    if facts["difference"] is not None:
        panels.append(_gains(facts, top=top))
    if not panels:
        return None
    return ContestPicture(
        width=WIDTH, height=panels[-1].bottom + AXIS, panels=tuple(panels), words=" ".join(_words(facts, drawn))
    )


def _side_label(label: str, side: Mapping[str, Any]) -> str:
    return label if side["version"] is None else f"{label}, v{side['version']}"


def _sides(drawn: Sequence[tuple[str, Mapping[str, Any]]], *, top: float) -> Panel:
    values = [seed["neg_iwae"] for _, side in drawn for seed in side["seeds"]]
    values += [
        end for _, side in drawn if side["interval"] for end in (side["interval"]["low"], side["interval"]["high"])
    ]
    axis = _Axis.of(values)
    rows = []
    for place, (label, side) in enumerate(drawn):
        interval = side["interval"]
        rows.append(
            Row(
                label=label,
                y=top + TOP + ROW * place,
                estimate=None if side["mean"] is None else axis.x(side["mean"]),
                low=None if interval is None else axis.x(interval["low"]),
                high=None if interval is None else axis.x(interval["high"]),
                dots=tuple(
                    Dot(x=axis.x(seed["neg_iwae"]), testifies=seed["testifies"], is_artifact=seed["is_artifact"])
                    for seed in side["seeds"]
                ),
            )
        )
    return Panel(
        title="−log p(x) of each seed, nats per image: lower is better",
        top=top,
        bottom=top + TOP + ROW * (len(rows) - 1) + ROW / 2,
        rows=tuple(rows),
        ticks=tuple(axis.ticks()),
    )


def _gains(facts: Mapping[str, Any], *, top: float) -> Panel:
    named = [("over seeds", facts["difference"]), ("these weights", facts["of_artifact"])]
    least = facts["contest"]["min_gain"]
    axis = _Axis.of([0.0, least, *(interval[end] for _, interval in named for end in ("low", "high"))])
    rows = tuple(
        Row(
            label=label,
            y=top + TOP + ROW * place,
            estimate=axis.x(interval["estimate"]),
            low=axis.x(interval["low"]),
            high=axis.x(interval["high"]),
            tone="good" if interval["low"] > 0 else "bad",
        )
        for place, (label, interval) in enumerate(named)
    )
    return Panel(
        title="Gain of the candidate, nats per image: must lie above 0",
        top=top,
        bottom=top + TOP + ROW * (len(rows) - 1) + ROW / 2,
        rows=rows,
        ticks=tuple(axis.ticks()),
        marks=(Tick(x=axis.x(0.0), text="0"), Tick(x=axis.x(least), text=f"least gain {least:g}")),
    )


def _words(facts: Mapping[str, Any], drawn: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    for label, side in drawn:
        if side["mean"] is not None:
            testify = sum(seed["testifies"] for seed in side["seeds"])
            yield f"{label}: mean {side['mean']:.3f} nats over {testify} seeds{_between(side['interval'])}."
    if facts["difference"] is not None:
        for label, interval in (("Gain over seeds", facts["difference"]), ("Of these weights", facts["of_artifact"])):
            yield f"{label}: {interval['estimate']:.3f} nats{_between(interval)}."


def _between(interval: Mapping[str, Any] | None) -> str:
    if interval is None:
        return ""
    return f", {100 * interval['confidence']:.6g} % interval {interval['low']:.3f} to {interval['high']:.3f}"


@dataclass(frozen=True, slots=True)
class _Axis:
    """A linear axis of the drawing."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Axis":
        low, high = min(values), max(values)
        margin = MARGIN * (high - low) or 0.5
        return cls(low - margin, high + margin)

    def x(self, value: float) -> float:
        """Place of a value, to a hundredth of a unit."""
        share = (value - self.low) / (self.high - self.low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def ticks(self) -> Iterator[Tick]:
        """Round numbers, about `TICKS` of them."""
        raw = (self.high - self.low) / TICKS
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = magnitude * next(nice for nice in (1, 2, 5, 10) if nice * magnitude >= raw)
        digits = max(0, -math.floor(math.log10(step)))
        for place in range(math.ceil(self.low / step), math.floor(self.high / step) + 1):
            yield Tick(x=self.x(place * step), text=f"{place * step:.{digits}f}".replace("-", "−"))
