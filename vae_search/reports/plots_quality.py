"""Plots of model quality: rate and distortion, the front, instability, active units."""

import math

from vae_search.core.criteria import Criteria
from vae_search.reports.facts import ReportData, thinned
from vae_search.reports.figures import (
    BLUE,
    GOOD_TO_BAD,
    GREEN,
    GREY,
    MAX_TRIALS,
    NOTHING_COMPLETE,
    ORANGE,
    RED,
    Plot,
    colour_bar,
    figure,
    focus,
    left_out,
    log_ticks,
    short,
    trial_names,
)
from vae_search.store.queries.ranking import front_of

MAX_BARS = 24
LINES = 7  # of equal neg_elbo


def rate_distortion(findings: ReportData) -> Plot:
    """Distortion against rate, with lines of equal neg_elbo (Alemi et al. 2018, "Fixing a Broken ELBO", figure 1)."""
    key, title = "rate-distortion", "Rate and distortion"
    measured = [row for row in findings.ranking if row.rate is not None and row.distortion is not None]
    rows = thinned(measured, MAX_TRIALS)
    if not rows:
        return Plot(key=key, title=title, text=NOTHING_COMPLETE)
    drawn = figure(x="rate: KL(q(z|x) ‖ p(z)), nats", y="distortion: -E[log p(x|z)], nats")
    rates = [row.rate for row in rows if row.rate is not None]
    sums = sorted((row.rate or 0.0) + (row.distortion or 0.0) for row in rows)
    low, high = min(rates), max(rates)
    pad = 0.05 * (high - low) or 0.5
    for place in range(LINES if sums[-1] > sums[0] else 1):
        value = sums[0] + (sums[-1] - sums[0]) * place / (LINES - 1)
        drawn.add_scatter(
            x=short([low - pad, high + pad]),
            y=short([value - low + pad, value - high - pad]),
            mode="lines+text",
            text=["", f"{value:.1f}"],
            textposition="top left",
            textfont={"color": GREY, "size": 11},
            line={"color": GREY, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    betas = [row.params.get("beta") for row in rows]
    numbers = [float(beta) for beta in betas if isinstance(beta, int | float)]
    by_beta = len(numbers) == len(rows) and len(set(numbers)) > 1
    marker: dict[str, object] = {"color": BLUE, "size": 9}
    if by_beta:
        exponents = [math.log10(beta) for beta in numbers]
        ticks = log_ticks(numbers)
        bar = dict(colour_bar("beta in training")) | {
            "tickvals": [math.log10(at) for at in ticks],
            "ticktext": [f"{at:g}" for at in ticks],
        }
        marker |= {"color": short(exponents), "colorscale": GOOD_TO_BAD, "colorbar": bar}
    drawn.add_scatter(
        x=short(row.rate for row in rows),
        y=short(row.distortion for row in rows),
        text=[f"trial {row.trial}, neg_elbo {row.neg_elbo:.2f}" for row in rows],
        mode="markers",
        name="trial",
        marker=marker,
        showlegend=False,
    )
    text = (
        "What the latents carry against what is lost without them. On a dotted line the sum, neg_elbo, is equal; its "
        "value stands at the end. A larger beta in training buys a lower rate with more distortion."
    )
    return Plot(key=key, title=title, text=text + left_out(len(rows), len(measured), "trials"), figure=drawn)


def pareto(findings: ReportData) -> Plot:
    """neg_elbo, instability and training cost; the trials with a code in use that none beats in all three."""
    key, title = "pareto", "What no other trial beats"
    rows = [row for row in findings.ranking if row.neg_elbo is not None and row.train_flops]
    if not rows:
        return Plot(key=key, title=title, text="No completed trial has both a score and a cost.")
    judged = all(row.instability is not None for row in rows)
    criteria = ("neg_elbo", "train_flops", *(("instability",) if judged else ()))
    front = {row.trial for row in front_of(rows, Criteria(names=criteria))}
    shown = [row for row in rows if row.trial in front][:MAX_TRIALS]
    shown += thinned([row for row in rows if row.trial not in front], MAX_TRIALS)
    drawn = figure(x="neg_elbo, nats per image", y="instability, nats" if judged else "training cost, FLOPs")
    costs = [math.log10(row.train_flops or 1.0) for row in shown]
    for name, symbol, size, members in (("beaten", "circle", 7, False), ("front", "diamond", 12, True)):
        chosen = [(row, cost) for row, cost in zip(shown, costs, strict=True) if (row.trial in front) is members]
        if chosen:
            marker = {
                "color": short(cost for _, cost in chosen),
                "cmin": min(costs),
                "cmax": max(costs),
                "colorscale": GOOD_TO_BAD,
                "symbol": symbol,
                "size": size,
                "opacity": 1.0 if members else 0.55,
                "showscale": members,
                "colorbar": dict(colour_bar("log10 FLOPs")),
            }
            drawn.add_scatter(
                x=short(row.neg_elbo for row, _ in chosen),
                y=short(row.instability if judged else row.train_flops for row, _ in chosen),
                text=[f"trial {row.trial}, {row.train_flops:.3g} FLOPs" for row, _ in chosen],
                mode="markers",
                name=name,
                marker=marker,
            )
    drawn.update_xaxes(range=focus([row.neg_elbo for row in shown if row.neg_elbo is not None]))
    what = "neg_elbo, instability and training cost" if judged else "neg_elbo and training cost"
    text = (
        f"Completed trials by {what}. On the front ({len(front)} trials) nothing can be had without giving up more of "
        "something else. A collapsed model is on it only if all have collapsed."
    )
    return Plot(key=key, title=title, text=text + left_out(len(shown), len(rows), "trials"), figure=drawn)


def instability(findings: ReportData) -> Plot:
    """The parts of the instability, trial by trial."""
    key, title = "instability", "What instability consists of"
    rows = [row for row in findings.ranking if row.instability is not None][:MAX_BARS]
    if not rows:
        return Plot(
            key=key, title=title, text="No trial has an instability: every config needs 8 epochs after its warm-up."
        )
    order = "the best first" if findings.front is None else "the lowest neg_elbo first"
    drawn = figure(x=f"trial, {order}", y="instability, nats")
    for name, column, colour in (
        ("A: lost at the end", "instability_regression", ORANGE),
        ("B: roughness", "instability_roughness", BLUE),
        ("C: spikes", "instability_spikes", RED),
        ("D: not learned", "instability_stagnation", GREY),
    ):
        drawn.add_bar(
            x=[str(row.trial) for row in rows],
            y=short(getattr(row, column) or 0.0 for row in rows),  # rows of older versions have no D
            name=name,
            marker_color=colour,
        )
    drawn.update_layout(barmode="stack")
    drawn.update_xaxes(type="category")
    text = (
        f"Of {len(rows)} completed trials, {order}: A, how much of the score was lost by the end, overfitting not "
        "counted; B, by how much an epoch suddenly rises on average; C, how far single steps leapt; D, how much is "
        "missing to having learned anything."
    )
    return Plot(key=key, title=title, text=text, figure=drawn)


def active_units(findings: ReportData) -> Plot:
    """Number of active units of each trial."""
    key, title = "active-units", "Active units"
    measured = [row for row in findings.ranking if row.active_units is not None and row.kl_per_dimension]
    rows = thinned(measured, MAX_TRIALS)
    if not rows:
        return Plot(key=key, title=title, text=NOTHING_COMPLETE)
    sizes = [len(row.kl_per_dimension or ()) for row in rows]
    drawn = figure(x="latent dimension", y="active units")
    ends = [min(sizes), max(sizes)] if len(set(sizes)) > 1 else [0, sizes[0]]
    line = {"color": GREY, "dash": "dot", "width": 1}
    drawn.add_scatter(x=ends, y=ends, mode="lines", name="all in use", line=line, hoverinfo="skip")
    scores = short(map(findings.score, rows))
    bar = dict(colour_bar(findings.scored_by))
    marker = {"color": scores, "colorscale": GOOD_TO_BAD, "size": 9, "colorbar": bar}
    if None in scores:
        marker = {"color": GREEN, "size": 9}
    y = [row.active_units for row in rows]
    drawn.add_scatter(
        x=sizes, y=y, text=trial_names(rows), mode="markers", name="trial", marker=marker, showlegend=False
    )
    text = "Latents that carry information, of all that a trial has. Far below the line, dimensions are wasted."
    return Plot(key=key, title=title, text=text + left_out(len(rows), len(measured), "trials"), figure=drawn)
