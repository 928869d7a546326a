"""Plots of the search: its history, by trials and by cost, and the learning curves."""

from collections.abc import Sequence

import plotly.graph_objects as go

from vae_search.core.trial_state import State
from vae_search.reports.facts import ReportData, running_best, thinned
from vae_search.reports.figures import (
    BLUE,
    MAX_TRIALS,
    NOTHING_COMPLETE,
    ORANGE,
    PURPLE,
    STATE_COLOURS,
    ZOOMED,
    Plot,
    figure,
    focus,
    left_out,
    short,
    trial_names,
)
from vae_search.store.ledger.rows import EpochRow, TrialRow

MAX_CURVES = 120
MAX_CURVE_POINTS = 60


def history(findings: ReportData) -> Plot:
    """The score against the trial's number, and the best so far."""
    key, title = "history", "Optimisation history by trial"

    def score(row: TrialRow) -> float | None:
        return row.neg_elbo if row.state is State.FAIL else findings.last_value(row)

    scored = [row for row in findings.rows if score(row) is not None]
    rows = thinned(scored, MAX_TRIALS)
    if not rows:
        return Plot(key=key, title=title, text="No trial has a score yet, so there is nothing to draw.")
    drawn = figure(x="trial", y="nats per image")
    for state, name, symbol in (
        (State.COMPLETE, findings.scored_by, "circle"),
        (State.PRUNED, "pruned: last bound", "x-thin-open"),
        (State.FAIL, "failed: best neg_elbo", "cross-thin-open"),
    ):
        of_state = [row for row in rows if row.state is state]
        if of_state:
            marker = {"color": STATE_COLOURS[state], "symbol": symbol, "size": 8}
            drawn.add_scatter(
                x=[row.trial for row in of_state],
                y=short(score(row) for row in of_state),
                text=trial_names(of_state),
                mode="markers",
                name=name,
                marker=marker,
            )
    best = running_best(sorted(findings.rows, key=lambda row: row.trial), findings.score)
    if best:
        last = max(row.trial for row in findings.rows)
        _add_steps(drawn, [(row.trial, value) for row, value in best], until=last)
    limits = focus([value for row in rows if (value := score(row)) is not None])
    drawn.update_yaxes(range=limits)
    text = f"Each trial where it ended, and the best {findings.scored_by} so far. Lower is better."
    text += ZOOMED if limits else ""
    return Plot(key=key, title=title, text=text + left_out(len(rows), len(scored), "trials"), figure=drawn)


def history_by_cost(findings: ReportData) -> Plot:
    """The best objective so far against the CPU seconds of all trials that had ended by then."""
    key, title = "history-cpu", "Optimisation history by CPU seconds"
    cpu_s = 0.0
    spent_s = {}
    ordered = sorted(findings.rows, key=lambda row: (row.finished_at, row.trial))
    for row in ordered:
        cpu_s += row.cpu_s or 0.0
        spent_s[row.trial] = cpu_s
    best = running_best(ordered, findings.score)
    if not best:
        return Plot(key=key, title=title, text=NOTHING_COMPLETE)
    drawn = figure(x="CPU seconds of training", y="nats per image")
    scored = [row for row in ordered if row.objective is not None]
    rows = thinned(scored, MAX_TRIALS)
    drawn.add_scatter(
        x=short(spent_s[row.trial] for row in rows),
        y=short(row.objective for row in rows),
        text=trial_names(rows),
        mode="markers",
        name="objective",
        marker={"color": BLUE, "size": 8},
    )
    _add_steps(drawn, [(spent_s[row.trial], value) for row, value in best], until=cpu_s)
    limits = focus([row.objective for row in rows if row.objective is not None])
    drawn.update_yaxes(range=limits)
    text = "What the search had cost when each trial ended, in that order; pruned and failed trials count."
    text += (ZOOMED if limits else "") + left_out(len(rows), len(scored), "trials")
    return Plot(key=key, title=title, text=text, figure=drawn)


def learning_curves(findings: ReportData) -> Plot:
    """neg_elbo by epoch, with the rungs."""
    key, title = "curves", "Learning curves"
    with_curve = [
        row for row in findings.rows if any(e.neg_elbo is not None for e in findings.curves.get(row.trial, ()))
    ]
    rows = thinned(with_curve, MAX_CURVES)
    if not rows:
        return Plot(key=key, title=title, text="No learning curve has been recorded yet.")
    drawn = figure(x="epoch", y="neg_elbo on the select split, nats per image")
    best = findings.leading
    name = "best trial" if findings.front is None else "on the front"
    values: list[float] = []
    for state in (State.PRUNED, State.FAIL, State.COMPLETE):
        of_state = [row for row in rows if row.state is state and row not in best]
        _add_curves(drawn, findings, of_state, name=state.value.lower(), colour=STATE_COLOURS[state], width=1)
    _add_curves(drawn, findings, [row for row in best if row in rows], name=name, colour=ORANGE, width=3)
    for row in rows:
        values += [epoch.neg_elbo for epoch in findings.curves[row.trial] if epoch.neg_elbo is not None]
    for rung in findings.rungs:
        drawn.add_vline(x=rung, line={"color": PURPLE, "dash": "dot", "width": 1})
    limits = focus(values)
    drawn.update_yaxes(range=limits)
    rungs = (
        f" Dotted lines are the rungs, after epochs {', '.join(map(str, findings.rungs))}." if findings.rungs else ""
    )
    text = (
        "How each trial's held-out score fell."
        + rungs
        + (" There trials are compared by IWAE instead." if rungs and findings.spec.bound == "iwae" else "")
        + (ZOOMED if limits else "")
        + left_out(len(rows), len(with_curve), "curves")
    )
    return Plot(key=key, title=title, text=text, figure=drawn)


def _add_steps(drawn: go.Figure, steps: Sequence[tuple[float, float]], *, until: float) -> None:
    x, y = [x for x, _ in steps], [y for _, y in steps]
    line = {"color": ORANGE, "width": 2, "shape": "hv"}
    drawn.add_scatter(x=short([*x, until]), y=short([*y, y[-1]]), mode="lines", name="best so far", line=line)


def _add_curves(
    drawn: go.Figure, findings: ReportData, rows: Sequence[TrialRow], *, name: str, colour: str, width: int
) -> None:
    """All curves as one trace with gaps: a page with a trace for each would be slow."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        epochs = _thinned_curve([e for e in findings.curves[row.trial] if e.neg_elbo is not None])
        x += [*(epoch.epoch for epoch in epochs), None]
        y += [*short(epoch.neg_elbo for epoch in epochs), None]
        text += [f"trial {row.trial}"] * (len(epochs) + 1)
    if x:
        mode = "lines+markers" if len(x) <= 2 * len(rows) else "lines"
        line = {"color": colour, "width": width}
        drawn.add_scatter(x=x, y=y, text=text, mode=mode, name=name, line=line, opacity=1.0 if width > 1 else 0.6)


def _thinned_curve(epochs: Sequence[EpochRow]) -> list[EpochRow]:
    """Every so many epochs, the last one always."""
    stride = -(-len(epochs) // MAX_CURVE_POINTS) or 1
    return [epoch for place, epoch in enumerate(reversed(epochs)) if place % stride == 0][::-1]
