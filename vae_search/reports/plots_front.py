"""Plots of a Pareto sweep: its front, and the hypervolume during the search."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vae_search.core.criteria import METRIC, Criteria, words_of
from vae_search.core.trial_state import State
from vae_search.reports.facts import ReportData, thinned
from vae_search.reports.figures import (
    BLUE,
    GREY,
    HEIGHT_PX,
    MAX_TRIALS,
    ORANGE,
    ZOOMED,
    Plot,
    figure,
    focus,
    left_out,
    short,
    style_axes,
)
from vae_search.reports.hypervolume import box_of, running_share
from vae_search.reports.narrative import value_of
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.pareto import staircase

PAIRS = (("train_flops", "neg_elbo"), ("instability", "neg_elbo"), ("train_flops", "instability"))  # x and y


def front(findings: ReportData) -> Plot:
    """Each pair of criteria: the front as a staircase, beaten and pruned trials behind it."""
    key, title = "front", "What no other trial beats"
    criteria = pareto_criteria(findings.spec) or Criteria(names=())
    complete = [row for row in findings.rows if row.state is State.COMPLETE]
    if not complete:
        return Plot(key=key, title=title, text="No trial has completed yet, so nothing is on a front.")
    on_front = findings.leading[:MAX_TRIALS]
    members = {row.trial for row in findings.leading}
    beaten = thinned([row for row in complete if row.trial not in members], MAX_TRIALS)
    pruned = thinned([row for row in findings.rows if row.state is State.PRUNED], MAX_TRIALS)
    pairs = [pair for pair in PAIRS if {*pair} <= {*criteria.names}]
    pairs += [(name, "neg_elbo") for name in criteria.names if name.startswith(METRIC)]
    drawn = make_subplots(rows=len(pairs), cols=1, vertical_spacing=0.24 / len(pairs))
    style_axes(drawn, height_px=HEIGHT_PX * len(pairs))
    zoomed, in_legend = False, set[str]()
    for place, (x, y) in enumerate(pairs, start=1):
        marks = [
            ("pruned, where cut", pruned, {"color": GREY, "symbol": "x-thin-open", "size": 7}),
            ("beaten", beaten, {"color": BLUE, "size": 7, "opacity": 0.6}),
            ("on the front", on_front, {"color": ORANGE, "symbol": "diamond", "size": 11}),
        ]
        for name, rows, marker in marks:
            having = [row for row in rows if _at(row, x) is not None and _at(row, y) is not None]
            if name == "on the front":
                _add_staircase(drawn, [*beaten, *having], x, y, criteria, place=place)
            if having:
                drawn.add_scatter(
                    x=short(_at(row, x) for row in having),
                    y=short(_at(row, y) for row in having),
                    text=[_hover(row, criteria.names) for row in having],
                    hoverinfo="text",
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=name not in in_legend,
                    marker=marker,
                    row=place,
                    col=1,
                )
                in_legend.add(name)
        scale = "log" if x == "train_flops" else "linear"
        shown = [row for row in [*on_front, *beaten, *pruned] if _at(row, x) is not None]
        limits = focus([value for row in shown if (value := _at(row, y)) is not None])
        limits_x = focus([value for row in shown if (value := _at(row, x)) is not None]) if scale == "linear" else None
        zoomed = zoomed or limits is not None or limits_x is not None
        axis = words_of(x, more_is_better=x in criteria.maximised).axis
        drawn.update_xaxes(title_text=axis, type=scale, range=limits_x, row=place, col=1)
        drawn.update_xaxes(exponentformat="power", row=place, col=1)  # else 10¹⁰ would be written 10B
        drawn.update_yaxes(title_text=words_of(y).axis, range=limits, row=place, col=1)
    text = (
        f"Of {len(complete):,} completed trials, {len(members):,} are on the front: no other beats them in all of "
        f"{', '.join(criteria.names)}. Whatever lies above the staircase is beaten in the two criteria that are drawn."
    )
    if len(criteria.names) > 2:
        text += " A member above it is better in the third."
    if pruned:
        text += " Pruned trials stand where they were cut, after fewer epochs and less cost; they do not compete."
    others = len(beaten) + len(on_front) + len(pruned)
    of = len(complete) + sum(row.state is State.PRUNED for row in findings.rows)
    return Plot(
        key=key, title=title, text=text + (ZOOMED if zoomed else "") + left_out(others, of, "trials"), figure=drawn
    )


def hypervolume(findings: ReportData) -> Plot:
    """Hypervolume over CPU seconds: the share of the box between best and worst values that the front dominates."""
    key, title = "hypervolume", "Hypervolume by CPU seconds"
    criteria = pareto_criteria(findings.spec) or Criteria(names=())
    box = box_of(findings.rows, criteria)
    if box is None:
        text = "Needs completed trials that differ in each criterion: between equal values there is no area."
        return Plot(key=key, title=title, text=text)
    steps, cpu_s = running_share(findings.rows, criteria)
    worst = ", ".join(value_of(name, value) for name, value in zip(criteria.names, box.worst, strict=True))
    area = "area" if len(criteria.names) == 2 else "volume"
    text = (
        f"The share of the {area} between the best and the worst values that "
        "the front dominated when so many CPU seconds were spent; 1 would be one trial that is the best in everything."
        f" The reference point is the worst value of each criterion among completed trials ({worst}): it follows from "
        "the rows alone, so nobody has to say what is too bad to count. A trial that is the worst in one criterion "
        "adds nothing, and the whole curve changes when a still worse one completes."
    )
    if "train_flops" in criteria.names:
        text += " FLOPs count by their logarithm: ten times the cost is the same step everywhere."
    if any(row.state is not State.COMPLETE for row in findings.rows):
        text += " Pruned and failed trials take time and add nothing."
    if not steps:
        text += " No trial is better than the worst in every criterion, so all of it is still to be had."
        return Plot(key=key, title=title, text=text)
    drawn = figure(x="CPU seconds of training", y="share of the box")
    drawn.add_scatter(
        x=short([0.0, *(step.cpu_s for step in steps), cpu_s]),
        y=short([0.0, *(step.share for step in steps), steps[-1].share]),
        text=["", *(f"trial {step.row.trial}: {step.share:.3f}" for step in steps), ""],
        mode="lines+markers",
        name="dominated by the front",
        line={"color": ORANGE, "width": 2, "shape": "hv"},
        marker={"size": [0, *[7] * len(steps), 0]},
        showlegend=False,
    )
    drawn.update_yaxes(rangemode="tozero")
    return Plot(key=key, title=title, text=text, figure=drawn)


def _add_staircase(
    drawn: go.Figure, rows: Sequence[TrialRow], x: str, y: str, criteria: Criteria, *, place: int
) -> None:
    """The border of what is beaten in these two criteria, to the edges of what is drawn.

    Where more of `x` is better, it falls to the left.
    """
    known = [(at, height) for row in rows if (at := _at(row, x)) is not None and (height := _at(row, y)) is not None]
    points = [(criteria.least_first(x, at), height) for at, height in known]
    steps = staircase(points)
    if not steps:
        return
    right, top = max(at for at, _ in points), max(height for _, height in points)
    corners = [(steps[0][0], top), *steps, (right, steps[-1][1])]
    drawn.add_scatter(
        x=short(criteria.least_first(x, at) for at, _ in corners),
        y=short(height for _, height in corners),
        mode="lines",
        name="staircase",
        legendgroup="staircase",
        showlegend=place == 1,
        hoverinfo="skip",
        line={"color": ORANGE, "width": 2, "shape": "hv"},
        row=place,
        col=1,
    )


def _at(row: TrialRow, criterion: str) -> float | None:
    """A cost of nothing has no place on a logarithmic axis."""
    value = row.value(criterion)
    return None if criterion == "train_flops" and not value else value


def _hover(row: TrialRow, criteria: Sequence[str]) -> str:
    known = [value_of(name, value) for name in criteria if (value := row.value(name)) is not None]
    return f"trial {row.trial}: {', '.join(known)}"
