"""Plots of the parameters: parallel coordinates, importances, slices."""

import math
from collections.abc import Iterable, Sequence

from plotly.subplots import make_subplots

from vae_search.reports.facts import ReportData, thinned
from vae_search.reports.figures import (
    BLUE,
    GOOD_TO_BAD,
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


def parallel_coordinates(findings: ReportData) -> Plot:
    """Every searched parameter and the objective or criteria, one line per completed trial."""
    key, title = "parallel", "Parallel coordinates"
    scored = [row for row in findings.ranking if findings.score(row) is not None]
    rows = thinned(scored, MAX_TRIALS)
    if len(rows) < 2 or not findings.searched:
        return Plot(key=key, title=title, text="Needs two completed trials and a searched parameter.")
    drawn = figure(x="", y="")
    scores = short(map(findings.score, rows))
    values = [value for value in scores if value is not None]
    dimensions = [_dimension(findings, name, rows) for name in findings.searched]
    dimensions.append({"label": findings.scored_by, "values": scores, "range": _range(values)})
    dimensions += [_criterion(name, rows) for name in findings.spec.objective.pareto or () if name != "neg_elbo"]
    span = focus(values) or [min(values), max(values)]
    line = {"color": scores, "colorscale": GOOD_TO_BAD, "cmin": min(values), "cmax": span[1]}
    line |= {"showscale": True, "colorbar": dict(colour_bar(findings.scored_by))}
    drawn.add_parcoords(dimensions=dimensions, line=line, labelangle=-20, labelside="top")
    drawn.update_layout(margin={"l": 48, "r": 24, "t": 84, "b": 28}, height=440)
    text = "One line for each completed trial. Drag along an axis to keep only the lines that pass there."
    return Plot(
        key=key,
        title=title,
        text=text + left_out(len(rows), len(scored), "trials"),
        figure=drawn,
        least_width_px=AXIS_WIDTH_PX * (len(dimensions) + 1),
    )


def importances(findings: ReportData) -> Plot:
    """Importances of the parameters for the objective; of a Pareto sweep for neg_elbo."""
    key, title = "importances", "Parameter importances"
    shares = sorted(findings.importances.items(), key=lambda item: item[1])
    if not shares:
        text = "Too few completed trials, or all alike: what a parameter is worth cannot be told yet."
        return Plot(key=key, title=title, text=text)
    drawn = figure(x=f"share of the variance of {findings.scored_by}", y="", height_px=120 + 30 * len(shares))
    drawn.add_bar(
        x=short(share for _, share in shares),
        y=[safe(name) for name, _ in shares],
        text=[f"{share:.0%}" for _, share in shares],
        orientation="h",
        marker_color=BLUE,
        showlegend=False,
    )
    text = (
        f"How much of the variance of {findings.scored_by} among completed trials each parameter explains, as Optuna "
        "estimates it (fANOVA: Hutter, Hoos and Leyton-Brown 2014). Parameters that only some trials have are left "
        "out. Few trials make it a rough guess."
    )
    return Plot(key=key, title=title, text=text, figure=drawn)


def slices(findings: ReportData) -> Plot:
    """The score against each parameter by itself."""
    key, title = "slices", "Slices"
    scored = [row for row in findings.ranking if findings.score(row) is not None]
    rows = thinned(scored, MAX_TRIALS)
    names = findings.searched
    if not rows or not names:
        return Plot(key=key, title=title, text="Needs a completed trial and a searched parameter.")
    drawn = make_subplots(
        rows=len(names), cols=1, vertical_spacing=0.42 / len(names), subplot_titles=[safe(name) for name in names]
    )
    for place, name in enumerate(names, start=1):
        having = [row for row in rows if name in row.params]
        numeric = all(isinstance(row.params[name], int | float) for row in having) and not _is_choice(findings, name)
        drawn.add_scatter(
            x=[_coordinate(row.params[name], numeric=numeric) for row in having],
            y=short(map(findings.score, having)),
            text=[f"trial {row.trial}" for row in having],
            mode="markers",
            marker={
                "color": [row.trial for row in having],
                "coloraxis": "coloraxis",
                "size": 8,
            },
            showlegend=False,
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
    drawn.update_yaxes(range=focus([value for row in rows if (value := findings.score(row)) is not None]))
    bar = dict(colour_bar("trial"))
    drawn.update_layout(coloraxis={"colorscale": GOOD_TO_BAD, "colorbar": bar | {"len": 0.4}})
    text = (
        f"The {findings.scored_by} of completed trials (nats per image) against one parameter at a time, coloured by "
        "trial number."
    )
    return Plot(key=key, title=title, text=text + left_out(len(rows), len(scored), "trials"), figure=drawn)


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
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        below = low - 0.2 * (high - low or 1.0)
        places = [below if place is None else place for place in places]
        ticks.insert(0, (below, NO_VALUE))
    return {
        "label": safe(name),
        "values": short(places),
        "range": _range([place for place in places if place is not None]),
        "tickvals": [at for at, _ in ticks],
        "ticktext": [text for _, text in ticks],
    }


def _criterion(name: str, rows: Sequence[TrialRow]) -> dict[str, object]:
    """The axis of another criterion of a Pareto sweep; costs by their logarithm."""
    values = [getattr(row, name) for row in rows]
    if name != "train_flops" or not all(values):
        known = [value for value in values if value is not None]
        return {"label": name, "values": short(values), "range": _range(known or [0.0])}
    places = [math.log10(value) for value in values]
    ticks = log_ticks(values)
    return {
        "label": name,
        "values": short(places),
        "range": _range(places),
        "tickvals": [math.log10(tick) for tick in ticks],
        "ticktext": [f"{tick:.3g}" for tick in ticks],
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
