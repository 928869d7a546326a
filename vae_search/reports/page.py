"""The report as one self-contained HTML file."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from vae_search.core.trial_state import State
from vae_search.registry.log import Action, Entry
from vae_search.registry.promotion.decision import PromotionDecision
from vae_search.registry.state import CROWNING
from vae_search.reports import plots_front, plots_parameters, plots_quality, plots_runs, plots_search
from vae_search.reports.facts import Confirmed, ReportData, confirmed
from vae_search.reports.figures import Plot
from vae_search.reports.narrative import number, shown, summary
from vae_search.store.ledger.rows import TrialRow

TEMPLATE = "page.html"
MAX_ROWS = 20  # of a table
SECTIONS: dict[str, tuple[Callable[[ReportData], Plot], ...]] = {
    "The search": (plots_search.history, plots_search.history_by_cost, plots_search.learning_curves),
    "Parameters": (plots_parameters.parallel_coordinates, plots_parameters.importances, plots_parameters.slices),
    "Quality": (
        plots_quality.rate_distortion,
        plots_quality.pareto,
        plots_quality.instability,
        plots_quality.active_units,
    ),
    "Workers": (plots_runs.workers,),
    "Finalists": (plots_runs.finalists,),
}
PARETO_SECTIONS: dict[str, tuple[Callable[[ReportData], Plot], ...]] = {
    "The front": (plots_front.front, plots_front.hypervolume),
    **SECTIONS,
    "The search": (plots_search.history, plots_search.learning_curves),
    "Quality": (plots_quality.rate_distortion, plots_quality.instability, plots_quality.active_units),
}
PICTURES = {"samples.png": "Samples from the prior", "reconstructions.png": "Held-out images and their reconstructions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Verdict on a candidate, from the model's log.

    Args:
        said: the later entry by which somebody approved or rejected it.
    """

    entry: Entry
    ruling: PromotionDecision
    said: Entry | None = None

    @property
    def promoted(self) -> bool:
        last = self.said or self.entry
        return last.action in CROWNING

    @property
    def waits(self) -> bool:
        return self.said is None and self.entry.action is Action.WAIT


def plots_of(findings: ReportData) -> list[Plot]:
    """All plots, in the order of the page."""
    return [draw(findings) for drawers in _sections(findings).values() for draw in drawers]


def verdicts(findings: ReportData) -> list[Verdict]:
    """The last verdict on each of the sweep's candidates, the promoted first."""
    last: dict[str | None, Verdict] = {}
    for entry in findings.entries:
        before = last.get(entry.candidate)
        if entry.judged:
            last[entry.candidate] = Verdict(entry=entry, ruling=PromotionDecision.of(entry))
        elif before is not None and before.waits and entry.version == before.entry.version:
            last[entry.candidate] = replace(before, said=entry)
    return sorted(last.values(), key=lambda verdict: (not verdict.promoted, verdict.entry.at))


def render(findings: ReportData) -> str:
    """The page. Text that came from people or programs is escaped; plotly.js and pictures are inside."""
    environment = Environment(
        loader=PackageLoader("vae_search", "reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"shown": shown, "embedded": _embedded, "specification": specification}
    environment.globals["number"] = number
    failed = [row for row in findings.rows if row.state is State.FAIL]
    finalists: list[Confirmed] = confirmed(findings.confirm_rows)
    front = findings.front
    best: list[TrialRow] = (findings.ranking if front is None else findings.leading)[:MAX_ROWS]
    pictures = findings.pictures
    return environment.get_template(TEMPLATE).render(
        findings=findings,
        paragraphs=summary(findings),
        front=front,
        best=best,
        metrics=[metric.column for metric in findings.spec.metrics],
        failed=failed[:MAX_ROWS],
        failures=len(failed),
        sections=[(title, [draw(findings) for draw in drawers]) for title, drawers in _sections(findings).items()],
        finalists=finalists,
        verdicts=verdicts(findings),
        model=findings.spec.promote.model if findings.spec.promote else None,
        pictures=[] if pictures is None else [(PICTURES[name], pictures.files[name]) for name in pictures.files],
        plotly_js=Markup(get_plotlyjs()),  # noqa: S704 - the library's own text, not a user's
    )


def _sections(findings: ReportData) -> Mapping[str, tuple[Callable[[ReportData], Plot], ...]]:
    return SECTIONS if findings.front is None else PARETO_SECTIONS


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def specification(plot: Plot) -> dict[str, object]:
    """Specification that plotly.js draws from."""
    if plot.figure is None:
        raise ValueError(f"{plot.key}: has no figure")
    found = json.loads(plot.figure.to_json())
    return {"data": found["data"], "layout": found["layout"]}
