"""Plots of runs: the timeline of workers, and the scores of the finalists' seeds."""

from vae_search.reports.facts import ReportData, busy_share, confirmed, timeline
from vae_search.reports.figures import BLUE, GREEN, STATE_COLOURS, Plot, figure, safe, short

NODE_CHARACTERS = 8
SLOT_HEIGHT_PX = 34
MAX_SLOTS = 64
UNITS = ((2 * 86_400.0, "days", 86_400.0), (2 * 3_600.0, "hours", 3_600.0), (300.0, "minutes", 60.0))


def workers(findings: ReportData) -> Plot:
    """Each worker slot and the runs on it; where there is none, it was idle."""
    key, title = "timeline", "Timeline of the workers"
    spans = timeline(findings.rows, (*findings.confirm_rows, *findings.continued_rows))
    if not spans:
        return Plot(key=key, title=title, text="No run has ended yet.")
    places = sorted({(span.node, span.slot) for span in spans})
    drawn_places = {place: f"{safe(place[0][:NODE_CHARACTERS])} · {place[1] + 1}" for place in places[:MAX_SLOTS]}
    whole_s = max(span.end_s for span in spans)
    unit, unit_s = next(((unit, unit_s) for least, unit, unit_s in UNITS if whole_s > least), ("seconds", 1.0))
    drawn = figure(x=f"{unit} since the first start", y="", height_px=150 + SLOT_HEIGHT_PX * len(drawn_places))
    for kind in ("COMPLETE", "PRUNED", "FAIL", "confirm"):
        chosen = [span for span in spans if span.kind == kind and (span.node, span.slot) in drawn_places]
        # One trace with gaps per kind: a shape for each of thousands of runs would make the page slow.
        x = [at for span in chosen for at in (*short([span.start_s / unit_s, span.end_s / unit_s]), None)]
        y = [at for span in chosen for at in (*[drawn_places[span.node, span.slot]] * 2, None)]
        if chosen:
            drawn.add_scatter(
                x=x,
                y=y,
                text=[text for span in chosen for text in (f"{span.label} begins", f"{span.label} ends", "")],
                mode="lines+markers",
                name=kind.lower(),
                line={"color": STATE_COLOURS[kind], "width": 12},
                marker={"color": STATE_COLOURS[kind], "symbol": "line-ns-open", "size": 16, "line": {"width": 2}},
            )
    order = list(dict.fromkeys(drawn_places.values()))
    drawn.update_yaxes(type="category", categoryorder="array", categoryarray=order[::-1])
    share = busy_share(spans)
    text = "Each line is a slot of a node; where it is empty, the slot was idle."
    if share is not None:
        text += f" Slots were busy for {share:.0%} of the time from the first start to the last end."
    if len(places) > MAX_SLOTS:
        text += f" Drawn are {MAX_SLOTS} of {len(places)} slots."
    return Plot(key=key, title=title, text=text, figure=drawn)


def finalists(findings: ReportData) -> Plot:
    """Each finalist's seeds and their mean."""
    key, title = "finalists", "Finalists and their seeds"
    found = confirmed(findings.confirm_rows)
    if not found:
        return Plot(key=key, title=title, text="No finalist has been confirmed with a fresh seed yet.")
    bound = f"-log p(x) ≤, by iwae_{found[0].iwae_k}, nats per image"
    drawn = figure(x=bound, y="", height_px=150 + 46 * len(found))
    names = [f"trial {each.trial}" for each in found]
    drawn.add_scatter(
        x=short(bound for each in found for bound in each.bounds),
        y=[name for each, name in zip(found, names, strict=True) for _ in each.bounds],
        mode="markers",
        name="a seed",
        marker={"color": BLUE, "size": 9, "opacity": 0.75},
    )
    halves = [0.0 if each.interval is None else each.interval.high - each.interval.estimate for each in found]
    drawn.add_scatter(
        x=short(each.mean for each in found),
        y=names,
        mode="markers",
        name="mean, with its 95 % interval where there are several seeds",
        marker={"color": GREEN, "symbol": "diamond", "size": 12},
        error_x={"type": "data", "array": short(halves), "color": GREEN, "thickness": 2},
    )
    drawn.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1])
    text = "The same config trained again with fresh seeds, scored on the judge split, which the search never saw."
    return Plot(key=key, title=title, text=text, figure=drawn)
