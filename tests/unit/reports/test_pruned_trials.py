"""Pruned trials in the pictures of parameters: shown at their last rung, and marked."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.reported_sweeps import complete, pruned, put_pareto_sweep, put_sweep
from vae_search.reports.figures import GREY, Plot
from vae_search.reports.page import plots_of
from vae_search.services import reporting
from vae_search.store.backends.local import LocalStore
from vae_search.store.queries.ranking import pruned_first

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PRUNED = [replace(pruned(trial), epochs=3 if trial < 12 else 9) for trial in range(4, 20)]


def plots(store: LocalStore) -> dict[str, Plot]:
    return {plot.key: plot for plot in plots_of(reporting.findings(store, "digits", now=NOW))}


def test_slices_show_pruned_trials_as_grey_crosses_at_their_last_value(store: LocalStore) -> None:
    put_sweep(store, [complete(trial) for trial in range(4)] + PRUNED)

    plot = plots(store)["slices"]

    crosses, points = (
        [
            trace
            for trace in plot.figure.data
            if trace.xaxis == "x2" and ("x-thin" in str(trace.marker.symbol)) is is_cut
        ]
        for is_cut in (True, False)
    )  # of latent_dim
    assert [len(crosses), len(points), len(points[0].y)] == [1, 1, 4]
    by_name = dict(zip(crosses[0].text, crosses[0].y, strict=True))
    assert len(by_name) == len(PRUNED)
    for row in PRUNED:
        assert by_name[f"trial {row.trial}, pruned after {row.epochs} epochs"] == pytest.approx(row.neg_elbo, rel=1e-5)
    assert crosses[0].marker.color == GREY
    assert "Crosses are pruned trials" in plot.text


def test_parallel_coordinates_show_pruned_trials_as_grey_lines_with_an_axis_of_their_own(store: LocalStore) -> None:
    put_sweep(store, [complete(trial) for trial in range(4)] + PRUNED)

    plot = plots(store)["parallel"]

    (drawn,) = plot.figure.data
    ended = drawn.dimensions[-1]
    assert (ended.label, ended.ticktext) == ("ended", ("pruned", "complete"))
    assert sorted(ended.values) == [0.0] * len(PRUNED) + [1.0] * 4
    grey_end = drawn.line.colorscale[1]
    assert grey_end[1] == GREY
    is_grey = [
        (colour - drawn.line.cmin) / (drawn.line.cmax - drawn.line.cmin) <= grey_end[0] for colour in drawn.line.color
    ]
    assert is_grey == [value == 0.0 for value in ended.values]
    assert "Grey lines are pruned trials" in plot.text


def test_without_pruned_trials_nothing_is_said_of_them(store: LocalStore) -> None:
    put_sweep(store, [complete(trial) for trial in range(12)])

    shown = plots(store)

    assert not any("pruned" in shown[key].text for key in ("slices", "importances", "parallel"))
    assert "ended" not in [dimension.label for dimension in shown["parallel"].figure.data[0].dimensions]


def test_importances_are_at_the_rung_where_pruned_trials_count(store: LocalStore) -> None:
    put_sweep(store, [complete(trial) for trial in range(4)] + PRUNED)

    plot = plots(store)["importances"]

    (bars,) = plot.figure.data
    assert {*bars.y} == {"architecture", "latent_dim", "beta"}
    assert plot.figure.layout.xaxis.title.text == "share of the variance of the bound after epoch 3"
    assert "what decided who was pruned would look unimportant" in plot.text


def test_importances_without_pruning_are_for_the_objective_at_the_end(store: LocalStore) -> None:
    put_sweep(store, [complete(trial) for trial in range(12)], "pruning=off")

    plot = plots(store)["importances"]

    assert plot.figure.layout.xaxis.title.text == "share of the variance of objective"
    assert "among completed trials" in plot.text


@pytest.mark.parametrize("criteria", ["neg_elbo, train_flops", "neg_elbo, instability, train_flops"])
def test_a_pareto_sweep_shows_them_as_well(store: LocalStore, criteria: str) -> None:
    put_pareto_sweep(store, [complete(trial) for trial in range(9)] + PRUNED[5:], criteria)

    (drawn,) = plots(store)["parallel"].figure.data

    assert all(None not in dimension.values for dimension in drawn.dimensions)


def test_pruned_trials_are_ordered_by_how_far_they_came() -> None:
    short, worse, better = (
        replace(pruned(trial), epochs=epochs, neg_elbo=value)
        for trial, (epochs, value) in enumerate([(3, 90.0), (9, 120.0), (9, 100.0)])
    )

    assert pruned_first([complete(5), short, worse, better, replace(short, neg_elbo=None)]) == [better, worse, short]
