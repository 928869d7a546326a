"""The report of a Pareto sweep: its front, its hypervolume, and words that speak of no best trial."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from plotly.offline import get_plotlyjs

from tests.support.reported_sweeps import KINDS, complete, mixed, pruned, put_confirmed, put_pareto_sweep, put_sweep
from tests.support.rows import BEGAN
from tests.unit.reports.test_report import marks
from vae_search.core.criteria import Criteria
from vae_search.reports.hypervolume import Box, box_of, running_share
from vae_search.reports.narrative import summary
from vae_search.reports.page import plots_of, render
from vae_search.services import reporting
from vae_search.store.ledger.rows import TrialRow

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TWO, THREE = ("neg_elbo", "train_flops"), ("neg_elbo", "instability", "train_flops")


def findings_of(store, rows, criteria=TWO):
    put_pareto_sweep(store, rows, ", ".join(criteria))
    return reporting.findings(store, "digits", now=NOW)


def plot_of(findings, key):
    return next(plot for plot in plots_of(findings) if plot.key == key)


def trial(number: int, neg_elbo: float, flops: float, *, ends_s: float | None = None, **changes: object) -> TrialRow:
    ended = BEGAN + timedelta(seconds=number if ends_s is None else ends_s)
    values = {"neg_elbo": neg_elbo, "train_flops": flops, "started_at": BEGAN, "finished_at": ended, "cpu_s": 10.0}
    return complete(number, **(values | changes))


@pytest.mark.parametrize("criteria", [TWO, ("neg_elbo", "instability"), THREE], ids=len)
@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_marks_or_a_sentence_why_not(store, kind, criteria):
    plots = plots_of(findings_of(store, KINDS[kind], criteria))

    for plot in plots:
        assert plot.text.endswith("."), plot.key
        assert plot.figure is None or marks(plot.figure) > 0, plot.key
    assert len({plot.key for plot in plots}) == len(plots)
    assert "pareto" not in {plot.key for plot in plots}


@pytest.mark.parametrize(("criteria", "pairs"), [(TWO, 1), (THREE, 3)])
def test_a_sweep_with_all_kinds_of_trials_has_every_picture_and_each_pair(store, criteria, pairs):
    found = findings_of(store, mixed(), criteria)
    put_confirmed(store)

    missing = [plot.key for plot in plots_of(reporting.findings(store, "digits", now=NOW)) if plot.figure is None]

    assert missing == []
    traces = plot_of(found, "front").figure.data
    assert len([trace for trace in traces if trace.name == "staircase"]) == pairs
    legend = sorted(trace.name for trace in traces if trace.showlegend)
    assert legend == ["beaten", "on the front", "pruned, where cut", "staircase"]
    first = [trace for trace in traces if trace.xaxis == "x"]
    (height,) = [trace.y[0] for trace in first if trace.name == "on the front"]
    assert height == pytest.approx(found.ranking[0].neg_elbo, rel=1e-5)


def test_the_staircase_is_the_front_from_edge_to_edge(store):
    rows = [trial(0, 90.0, 9e9), trial(1, 95.0, 2e9), trial(2, 96.0, 4e9), trial(3, 99.0, 1e9)]

    drawn = plot_of(findings_of(store, rows), "front").figure

    by_name = {trace.name: [*zip(trace.x, trace.y, strict=True)] for trace in drawn.data}
    assert by_name["staircase"] == [(1e9, 99.0), (1e9, 99.0), (2e9, 95.0), (9e9, 90.0), (9e9, 90.0)]
    assert by_name["on the front"] == [(9e9, 90.0), (2e9, 95.0), (1e9, 99.0)]
    assert by_name["beaten"] == [(4e9, 96.0)]
    assert (drawn.layout.xaxis.type, drawn.layout.yaxis.type) == ("log", None)


def measured(values: list[tuple[float, float]]) -> list[TrialRow]:
    """Trials by bound and structural similarity, of which more is better."""
    return [
        trial(number, nats, 1e9, objective=None, metrics={"metric_ssim": ssim})
        for number, (nats, ssim) in enumerate(values)
    ]


def test_where_more_of_a_metric_is_better_the_staircase_falls_to_the_left_and_its_words_say_so(store):
    rows = measured([(90.0, 0.5), (95.0, 0.8), (96.0, 0.7), (99.0, 0.9)])
    put_sweep(store, rows, "metrics=[ssim]", "objective={pareto: [neg_elbo, metric_ssim]}")
    findings = reporting.findings(store, "digits", now=NOW)

    drawn = plot_of(findings, "front").figure

    by_name = {trace.name: [*zip(trace.x, trace.y, strict=True)] for trace in drawn.data}
    assert by_name["staircase"] == [(0.9, 99.0), (0.9, 99.0), (0.8, 95.0), (0.5, 90.0), (0.5, 90.0)]
    assert {*by_name["on the front"]} == {(0.9, 99.0), (0.8, 95.0), (0.5, 90.0)}
    assert by_name["beaten"] == [(0.7, 96.0)]
    assert drawn.layout.xaxis.title.text == "metric_ssim, more is better"
    assert "Trial 3 has the highest metric_ssim, metric_ssim 0.9" in " ".join(summary(findings))


def test_the_box_and_the_share_of_what_more_is_better_are_those_of_its_negative():
    rows = measured([(100.0, 0.9), (80.0, 0.1), (90.0, 0.5)])
    criteria = Criteria(names=("neg_elbo", "metric_ssim"), maximised=frozenset({"metric_ssim"}))

    steps, _ = running_share(rows, criteria)

    assert box_of(rows, criteria) == Box(best=(80.0, 0.9), worst=(100.0, 0.1))
    assert [(step.row.trial, round(step.share, 9)) for step in steps] == [(2, 0.25)]


def test_the_share_grows_in_the_order_in_which_trials_end_and_pruned_ones_cost_time():
    rows = [
        trial(0, 100.0, 1e8, ends_s=1),  # the worst bound, the least cost
        replace(pruned(1), finished_at=BEGAN + timedelta(seconds=2), cpu_s=5.0, neg_elbo=1.0, train_flops=1.0),
        trial(2, 80.0, 1e10, ends_s=9),  # the best bound at the greatest cost
        trial(3, 90.0, 1e9, ends_s=3),  # half way in both, ten times cheaper being half of a hundred times
        trial(4, 85.0, 1e9, ends_s=4),
    ]

    steps, cpu_s = running_share(rows, Criteria(names=TWO))

    assert box_of(rows, Criteria(names=TWO)) == Box(best=(80.0, 1e8), worst=(100.0, 1e10))
    assert [(step.row.trial, step.cpu_s) for step in steps] == [(3, 25.0), (4, 35.0)]
    assert [step.share for step in steps] == pytest.approx([0.25, 0.375])
    assert cpu_s == 45.0


@pytest.mark.parametrize(
    "rows",
    [[], [trial(0, 90.0, 1e9)], [trial(0, 90.0, 1e9), trial(1, 95.0, 1e9)], [pruned(0), pruned(1)]],
    ids=["nothing", "one", "equal cost", "none complete"],
)
def test_without_an_area_there_is_a_sentence_in_the_place_of_the_hypervolume(store, rows):
    plot = plot_of(findings_of(store, rows), "hypervolume")

    assert plot.figure is None
    assert "there is no area" in plot.text
    assert running_share(rows, Criteria(names=TWO))[0] == []


def test_the_page_says_what_the_reference_point_is(store):
    plot = plot_of(findings_of(store, [trial(0, 90.0, 9e9), trial(1, 95.5, 1e9), trial(2, 92.0, 4e9)]), "hypervolume")

    assert "worst value of each criterion among completed trials (neg_elbo 95.50 nats, 9e+09 FLOPs)" in plot.text
    assert "FLOPs count by their logarithm" in plot.text


def test_the_words_speak_of_the_front(store):
    params = {"architecture": "mlp", "latent_dim": 16, "beta": 0.5, "depth": 2}
    rows = [
        trial(0, 90.0, 9e9, params=params),
        trial(1, 95.0, 2e9),
        trial(2, 96.0, 4e9),
        trial(3, 99.0, 1e9),
        pruned(4),
    ]
    found = findings_of(store, rows)

    words = summary(found)

    assert words[1] == (
        "There is no single best trial: 3 of the 4 trials that completed are on the front: no other beats them in all "
        "of neg_elbo, train_flops. Trial 0 has the best bound, neg_elbo 90.00 nats (9e+09 FLOPs), and is the one that "
        "the spec prefers: architecture mlp, latent_dim 16, beta 0.5, depth 2. Trial 3 is the cheapest, 1e+09 FLOPs "
        "(neg_elbo 99.00 nats)."
    )
    assert "no config has been trained again" in words[2]
    assert "best objective" not in render(found).replace(get_plotlyjs(), "")
    assert "No trial has won" not in " ".join(words)


def test_the_words_of_a_confirmed_front_and_of_an_empty_one(store):
    put_pareto_sweep(store, mixed(), "neg_elbo, train_flops")
    put_confirmed(store)

    words = " ".join(summary(reporting.findings(store, "digits", now=NOW)))

    assert "5 fresh seeds, trial 0 is the best finalist: -log p(x) ≤ 20.20 nats" in words
    assert "Its lead in the search" not in words


def test_a_front_that_nobody_is_on_is_told_without_a_winner(store):
    assert "No trial is on the front of neg_elbo, train_flops: none of the 2 that ended completed." in summary(
        findings_of(store, [pruned(0), pruned(1)])
    )


def test_the_table_lists_the_front_in_the_preferred_order(store):
    rows = [replace(row, objective=None) for row in (trial(0, 90.0, 9e9), trial(1, 95.0, 2e9), trial(2, 96.0, 4e9))]
    put_sweep(store, rows, "objective={pareto: [neg_elbo, train_flops], prefer: train_flops}")

    page = render(reporting.findings(store, "digits", now=NOW)).replace(get_plotlyjs(), "")

    assert "<h3>On the front</h3>" in page
    assert "By train_flops, as the spec prefers." in page
    table = page[page.index("<h3>On the front</h3>") : page.index('<h2 id="the-front">')]
    assert table.index("<td>1</td>") < table.index("<td>0</td>")
    assert "<td>2</td><td>4e+09" not in table
    assert "2e+09" in table
