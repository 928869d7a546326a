"""Common style of all plots: colours, axes and hover texts. The page paints text and grid, by light or dark."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import plotly.graph_objects as go

from vae_search.reports.narrative import shown
from vae_search.store.ledger.rows import TrialRow

# Middle tones of the Okabe–Ito palette, which read on white and on black, for the colour-blind as well.
BLUE, ORANGE, RED, GREEN, PURPLE, GREY = "#3a86c8", "#e69f00", "#d55e00", "#0a9e78", "#b06fc0", "#8a929b"
STATE_COLOURS = {"COMPLETE": BLUE, "PRUNED": GREY, "FAIL": RED, "confirm": GREEN}
GOOD_TO_BAD: Sequence[tuple[float, str]] = ((0.0, "#f0a020"), (0.5, "#c8508c"), (1.0, "#4a6fd0"))
ZOOMED = " The axis begins at the better values; a double click shows all."
DIGITS = 6  # significant ones; the data of a page must stay small
HEIGHT_PX = 420
MAX_TRIALS = 500  # that one plot draws as points
NOTHING_COMPLETE = "No trial has completed yet, so there is nothing to draw."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One picture of a report, or a sentence why there is none."""

    key: str
    title: str
    text: str
    """what it shows, and what was left out of it"""
    figure: go.Figure | None = None
    least_width_px: int = 0
    """narrower screens scroll it sideways"""


def figure(*, x: str, y: str, height_px: int = HEIGHT_PX) -> go.Figure:
    """An empty figure with titles of both axes."""
    empty = go.Figure()
    style_axes(empty, height_px=height_px)
    empty.update_xaxes(title_text=x)
    empty.update_yaxes(title_text=y)
    return empty


def style_axes(of: go.Figure, *, height_px: int) -> None:
    """Size, margins and legend as all plots have them."""
    of.update_layout(
        template="none",
        height=height_px,
        margin={"l": 56, "r": 16, "t": 48, "b": 52},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        hovermode="closest",
    )
    of.update_xaxes(automargin=True)
    of.update_yaxes(automargin=True)


def short(values: Iterable[float | None]) -> list[float | None]:
    """`values` with as many digits as can be seen."""
    return [None if value is None else float(f"{value:.{DIGITS}g}") for value in values]


def safe(text: object) -> str:
    """`text` for a label or hover text: Plotly reads those as a kind of HTML."""
    return html.escape(shown(text))


def trial_names(rows: Sequence[TrialRow]) -> list[str]:
    """`trial 7`, for hover texts."""
    return [f"trial {row.trial}" for row in rows]


def focus(values: Sequence[float]) -> list[float] | None:
    """A first range for an axis that a few very bad values would squeeze; None if all fit well.

    From the best value to the median and three times as far beyond it.
    """
    if not values:
        return None
    low, high, middle = min(values), max(values), median(values)
    limit = middle + 3.0 * (middle - low)
    margin = 0.06 * (limit - low)
    return [low - margin, limit + margin] if low < limit < high else None


def log_ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten within the range of `values`; its ends if those are too few."""
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    nice = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    between = [tick for tick in nice if low * 0.999 <= tick <= high * 1.001]
    return between if len(between) > 2 else [float(f"{tick:.2g}") for tick in dict.fromkeys((low, high))]


def left_out(drawn: int, of: int, what: str) -> str:
    """A sentence on what is not drawn; empty if nothing."""
    if drawn >= of:
        return ""
    return f" Drawn are {drawn:,} of {of:,} {what}: the best, and of the others every so many."


def colour_bar(title: str) -> Mapping[str, object]:
    """A slim legend of a colour scale."""
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0}
