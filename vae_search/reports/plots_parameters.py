"""Plots of the parameters: parallel coordinates, importances, slices."""

import math
from collections.abc import Iterable, Mapping, Sequence

from plotly.subplots import make_subplots

from vae_search.core.trial_state import State
from vae_search.reports.facts import ReportData, thinned
from vae_search.reports.figures import (
    BLUE,
    GOOD_TO_BAD,
    GREY,
    MAX_TRIALS,
    Plot,
    colour_bar,
    figure,
    focus,
    left_out,
    log_ticks,
    safe,
    short,
    style_axes,
)
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.parameters import FloatParameter, IntParameter
from vae_search.store.ledger.rows import TrialRow

AXIS_WIDTH_PX = 95  # of parallel coordinates; narrower ones cannot be read or brushed
SLICE_HEIGHT_PX = 210
FEW = 5  # labels of an axis
NO_VALUE = "–"  # of a parameter whose condition did not hold
GREY_SHARE = 0.08  # of a colour scale, for pruned trials
_LAST_RUNG = "the bound after fewer epochs, which a longer training would have lowered"
_MARKERS: Mapping[State, Mapping[str, object]] = {
    State.PRUNED: {"color": GREY, "symbol": "x-thin-open", "size": 7},
    State.COMPLETE: {"size": 8},
}


def parallel_coordinates(findings: ReportData) -> Plot:
    """Every searched parameter and the objective or criteria, one line per completed or pruned trial."""
    key, title = "parallel", "Parallel coordinates"
    cut, scored = findings.pruned, [row for row in findings.ranking if findings.score(row) is not None]
    rows = thinned([*cut, *scored], MAX_TRIALS)
    if len(rows) < 2 or not findings.searched:
        text = "Needs two trials that completed or were pruned, and a searched parameter."
        return Plot(key=key, title=title, text=text)
    drawn = figure(x="", y="")
    scores = _held([findings.last_value(row) for row in rows])
    values = [value for value in scores if value is not None]
    dimensions = [_dimension(findings, name, rows) for name in findings.searched]
    dimensions.append({"label": findings.scored_by, "values": scores, "range": _range(values)})
    dimensions += [_criterion(name, rows) for name in findings.spec.objective.pareto or () if name != "neg_elbo"]
    if cut:
        dimensions.append(_ends(rows))
    line = _line_colours(rows, scores) | {"colorbar": dict(colour_bar(findings.scored_by))}
    drawn.add_parcoords(dimensions=dimensions, line=line, labelangle=-20, labelside="top")
    drawn.update_layout(margin={"l": 48, "r": 24, "t": 84, "b": 28}, height=440)
    text = "One line for each completed trial. Drag along an axis to keep only the lines that pass there."
    if cut:
        text += f" Grey lines are pruned trials, at their last rung: {_LAST_RUNG}."
    return Plot(
        key=key,
        title=title,
        text=text + left_out(len(rows), len(scored) + len(cut), "trials"),
        figure=drawn,
        least_width_px=AXIS_WIDTH_PX * (len(dimensions) + 1),
    )


def importances(findings: ReportData) -> Plot:
    """Importances of the parameters for the score, or for the bound at a rung."""
    key, title = "importances", "Parameter importances"
    shares, epoch = findings.importances, findings.importances_epoch
    if not shares:
        text = "Too few trials to compare, or all alike: what a parameter is worth cannot be told yet."
        return Plot(key=key, title=title, text=text)
    names = sorted(shares, key=shares.__getitem__)
    score = findings.scored_by if epoch is None else f"the bound after epoch {epoch}"
    drawn = figure(x=f"share of the variance of {score}", y="", height_px=120 + 30 * len(names))
    drawn.add_bar(
        x=short(shares[name] for name in names),
        y=[safe(name) for name in names],
        text=[f"{shares[name]:.0%}" for name in names],
        orientation="h",
        marker_color=BLUE,
    )
    among = "completed trials" if epoch is None else "all trials that have come that far"
    text = (
        f"How much of the variance of {score} among {among} each parameter explains, as Optuna estimates it (fANOVA: "
        "Hutter, Hoos and Leyton-Brown 2014). Parameters that only some trials have are left out, and so are failed "
        "trials. Few trials make it a rough guess."
    )
    if epoch is not None:
        text += (
            " It is the last rung that at least half of the trials have reached: those that pruning left are few and "
            "much alike, and what decided who was pruned would look unimportant among them."
        )
    return Plot(key=key, title=title, text=text, figure=drawn)


def slices(findings: ReportData) -> Plot:
    """The score against each parameter by itself."""
    key, title = "slices", "Slices"
    cut, scored = findings.pruned, [row for row in findings.ranking if findings.score(row) is not None]
    rows = thinned([*cut, *scored], MAX_TRIALS)
    names = findings.searched
    if not rows or not names:
        text = "Needs a trial that completed or was pruned, and a searched parameter."
        return Plot(key=key, title=title, text=text)
    drawn = make_subplots(
        rows=len(names), cols=1, vertical_spacing=0.42 / len(names), subplot_titles=[safe(name) for name in names]
    )
    for place, name in enumerate(names, start=1):
        having = [row for row in rows if name in row.params]
        numeric = all(isinstance(row.params[name], int | float) for row in having) and not _is_choice(findings, name)
        for state, marker in _MARKERS.items():
            marked = [row for row in having if row.state is state]
            if not marked:
                continue
            colours = {} if "color" in marker else {"color": [row.trial for row in marked], "coloraxis": "coloraxis"}
            drawn.add_scatter(
                x=[_coordinate(row.params[name], numeric=numeric) for row in marked],
                y=short(map(findings.last_value, marked)),
                text=[f"trial {row.trial}{_end(row)}" for row in marked],
                mode="markers",
                marker={**marker, **colours},
                showlegend=False,  # plotly.js can draw no key to points that are coloured one by one
                row=place,
                col=1,
            )
        scale = "category" if not numeric else "log" if _is_log(findings, name) else "linear"
        drawn.update_xaxes(type=scale, row=place, col=1)
        if scale == "category":
            order = [_coordinate(choice, numeric=False) for choice in _choices(row.params[name] for row in having)]
            drawn.update_xaxes(categoryorder="array", categoryarray=order, row=place, col=1)
        elif ticks := _ticks(findings, name, [float(row.params[name]) for row in having]):
            drawn.update_xaxes(tickvals=ticks, ticktext=[f"{tick:.4g}" for tick in ticks], row=place, col=1)
    style_axes(drawn, height_px=80 + SLICE_HEIGHT_PX * len(names))
    drawn.update_yaxes(range=focus([value for row in rows if (value := findings.last_value(row)) is not None]))
    bar = dict(colour_bar("trial"))
    drawn.update_layout(coloraxis={"colorscale": GOOD_TO_BAD, "colorbar": bar | {"len": 0.4}})
    text = (
        f"The {findings.scored_by} of completed trials (nats per image) against one parameter at a time, coloured by "
        "trial number."
    )
    if cut:
        text += f" Crosses are pruned trials, at their last rung: {_LAST_RUNG}."
    return Plot(key=key, title=title, text=text + left_out(len(rows), len(scored) + len(cut), "trials"), figure=drawn)


def _end(row: TrialRow) -> str:
    return f", pruned after {row.epochs} epochs" if row.state is State.PRUNED else ""


def _held(values: Sequence[float | None]) -> list[float | None]:
    """`values` with those far beyond the others at the top of the axis: a line cannot leave its plot."""
    limits = focus([value for value in values if value is not None])
    return short(value if value is None or limits is None else min(value, limits[1]) for value in values)


def _ends(rows: Sequence[TrialRow]) -> dict[str, object]:
    """The axis of how a trial ended."""
    values = [float(row.state is State.COMPLETE) for row in rows]
    return {
        "label": "ended",
        "values": values,
        "range": [-0.2, 1.2],
        "tickvals": [0.0, 1.0],
        "ticktext": ["pruned", "complete"],
    }


def _line_colours(rows: Sequence[TrialRow], scores: Sequence[float | None]) -> dict[str, object]:
    """Colours of lines by score; those of pruned trials are grey, below the least score of the scale."""
    values = [
        value for row, value in zip(rows, scores, strict=True) if value is not None and row.state is State.COMPLETE
    ]
    values = values or [0.0, 1.0]
    low, high = min(values), (focus(values) or [0.0, max(values)])[1]
    if all(row.state is State.COMPLETE for row in rows):
        return {"color": scores, "colorscale": GOOD_TO_BAD, "cmin": low, "cmax": high, "showscale": True}
    below = low - GREY_SHARE * (high - low or 1.0)
    start = (low - below) / (high - below if high > below else 1.0)
    scale = [[0.0, GREY], [0.9 * start, GREY]] + [[start + (1.0 - start) * at, colour] for at, colour in GOOD_TO_BAD]
    colours = [below if row.state is not State.COMPLETE else value for row, value in zip(rows, scores, strict=True)]
    return {"color": short(colours), "colorscale": scale, "cmin": below, "cmax": high, "showscale": True}


def _dimension(findings: ReportData, name: str, rows: Sequence[TrialRow]) -> dict[str, object]:
    """One axis of parallel coordinates; trials without the parameter meet below its least value."""
    values = [row.params.get(name) for row in rows]
    present = [value for value in values if value is not None]
    if _is_choice(findings, name) or any(isinstance(value, str) for value in present):
        choices = _choices(present)
        places = [None if value is None else float(choices.index(value)) for value in values]
        ticks = [(float(place), safe(choice)) for place, choice in enumerate(choices)]
    elif _is_log(findings, name):
        places = [None if value is None else math.log10(float(value)) for value in values]
        ticks = [(math.log10(at), f"{at:.3g}") for at in _ticks(findings, name, [float(at) for at in present])]
    else:
        places = [None if value is None else float(value) for value in values]
        ticks = [(at, f"{at:.4g}") for at in _ticks(findings, name, [float(at) for at in present])]
    return _axis(safe(name), places, ticks)


def _criterion(name: str, rows: Sequence[TrialRow]) -> dict[str, object]:
    """The axis of another criterion of a Pareto sweep; costs by their logarithm."""
    values: list[float | None] = [row.value(name) for row in rows]
    known = [value for value in values if value is not None]
    if name == "train_flops" and known and all(known):
        places = [None if value is None else math.log10(value) for value in values]
        return _axis(name, places, [(math.log10(at), f"{at:.3g}") for at in log_ticks(known)])
    low, high = _range(known or [0.0])
    steps = [low + (high - low) * step / (FEW - 1) for step in range(FEW)]
    return _axis(name, values, [(at, f"{at:.3g}") for at in steps])


def _axis(label: str, places: Sequence[float | None], ticks: Sequence[tuple[float, str]]) -> dict[str, object]:
    """One axis of parallel coordinates; trials without a place on it meet below the least one."""
    known = [place for place in places if place is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    below = low - 0.2 * (high - low or 1.0)
    if len(known) < len(places):
        ticks = [(below, NO_VALUE), *ticks]
    drawn = [below if place is None else place for place in places]
    return {
        "label": label,
        "values": short(drawn),
        "range": _range(drawn),
        "tickvals": [at for at, _ in ticks],
        "ticktext": [text for _, text in ticks],
    }


def _ticks(findings: ReportData, name: str, values: Sequence[float]) -> list[float]:
    """Tick positions of a number's axis: the values themselves if they are few, else round or even steps."""
    distinct = sorted(set(values))
    if len(distinct) <= FEW:
        return distinct
    if _is_log(findings, name):
        return log_ticks(distinct)
    return [distinct[0] + (distinct[-1] - distinct[0]) * step / (FEW - 1) for step in range(FEW)]


def _choices(values: Iterable[ParamValue]) -> list[ParamValue]:
    """The distinct `values`, numbers by size and names by the alphabet."""
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))


def _range(values: Sequence[float]) -> list[float]:
    """From the least to the greatest, never empty."""
    low, high = min(values), max(values)
    return [low, high] if high > low else [low - 1.0, high + 1.0]


def _coordinate(value: ParamValue, *, numeric: bool) -> object:
    return value if numeric else safe(value)


def _entries(findings: ReportData, name: str) -> list[object]:
    return [entry for entry in findings.spec.search_space.searched if entry.name == name]


def _is_log(findings: ReportData, name: str) -> bool:
    return all(isinstance(entry, FloatParameter | IntParameter) and entry.log for entry in _entries(findings, name))


def _is_choice(findings: ReportData, name: str) -> bool:
    return not all(isinstance(entry, FloatParameter | IntParameter) for entry in _entries(findings, name))
