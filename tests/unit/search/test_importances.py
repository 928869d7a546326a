"""Optuna's importances, asked through our rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.search.study import importances as importances_module
from vae_search.search.study.importances import MIN_TRIALS, importances
from vae_search.spec.sweep_spec import parse_spec

SPACE = parse_spec(
    "name: x\ndata: {source: digits}\nsearch_space: {architecture: mlp, latent_dim: {type: int, low: 2, high: 32},"
    " beta: {type: float, low: 0.25, high: 4.0}}\nbudget: {trials: 4, epochs: 27}",
    base=Path(),
).search_space


RUNGS = (3, 9)


def rows(count: int):
    random = np.random.default_rng(0)
    for trial in range(count):
        params = {"architecture": "mlp", "latent_dim": int(random.integers(2, 33)), "beta": random.uniform(0.25, 4.0)}
        yield trial_row(trial, params=params, objective=100.0 + params["latent_dim"])


def shares(rows, curves=None, **changes):
    return importances(
        SPACE, rows, curves or {}, **({"by": "objective", "rungs": (), "bound": "elbo"} | changes)
    ).shares


def test_the_parameter_that_decides_alone_has_nearly_all_of_it():
    found = shares(list(rows(60)))

    assert set(found) == {"latent_dim", "beta"}
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["latent_dim"] > 0.9


def halved():
    """Trials by successive halving, whose bound `latent_dim` decides; all that complete are alike: noise is left."""
    random = np.random.default_rng(1)
    trials, curves = [], {}
    for trial in range(60):
        latent_dim, beta = int(random.choice([2, 4, 6, 12, 16])), random.uniform(0.25, 4.0)
        row = trial_row(trial, params={"architecture": "mlp", "latent_dim": latent_dim, "beta": beta}, epochs=27)
        epochs = {16: 27, 12: 9}.get(latent_dim, 3)
        if epochs == 27:
            row = replace(row, objective=100.0 + random.normal(0, 0.01))
        else:
            row = replace(row, state=State.PRUNED, reason=Reason.RUNG, epochs=epochs, objective=None)
        trials.append(row)
        curves[trial] = [
            replace(epoch, neg_elbo=200.0 - latent_dim - epoch.epoch) for epoch in epoch_rows(trial, epochs=epochs)
        ]
    return trials, curves


def test_a_parameter_that_decides_who_is_pruned_is_seen_where_pruned_trials_count():
    trials, curves = halved()

    found = importances(SPACE, trials, curves, by="objective", rungs=RUNGS, bound="elbo")

    assert found.epoch == 3
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.shares["latent_dim"] > 0.9
    assert shares(trials)["latent_dim"] < 0.01  # at the end, among survivors


def test_trials_are_compared_at_the_last_rung_that_half_of_them_have_reached():
    """Sixteen of thirty have reached the ninth epoch; the third says nothing."""
    trials = [replace(row, state=State.PRUNED, reason=Reason.RUNG, objective=None) for row in rows(30)]
    curves = {
        row.trial: [
            replace(epoch, neg_elbo=float(row.params["latent_dim"]) if epoch.epoch == 9 else 1.0)
            for epoch in epoch_rows(row.trial, epochs=9 if row.trial < 16 else 3)
        ]
        for row in trials
    }

    found = importances(SPACE, trials, curves, by="objective", rungs=RUNGS, bound="elbo")

    assert found.epoch == 9
    assert found.shares["latent_dim"] > 0.9


def test_failed_trials_do_not_count_although_they_reached_a_rung():
    trials, curves = halved()
    failed = [
        replace(row, trial=60 + row.trial, state=State.FAIL, reason=Reason.DIVERGED, objective=None) for row in trials
    ]
    curves_of_failed = {
        row.trial: [replace(epoch, neg_elbo=500.0 * row.params["beta"]) for epoch in epoch_rows(row.trial, epochs=9)]
        for row in failed
    }

    assert shares([*trials, *failed], curves | curves_of_failed, rungs=RUNGS) == shares(trials, curves, rungs=RUNGS)


def test_of_a_long_sweep_trials_are_taken_evenly(monkeypatch):
    """The last tenth alone would say that `beta` decides."""
    monkeypatch.setattr(importances_module, "MOST_TRIALS", 50)
    trials = [row if row.trial < 540 else replace(row, objective=100.0 + 10 * row.params["beta"]) for row in rows(600)]

    found = shares(trials)

    assert found["latent_dim"] > 0.6


def test_too_few_or_equal_trials_tell_nothing():
    alike = [trial_row(trial, objective=100.0) for trial in range(20)]

    assert shares(list(rows(MIN_TRIALS - 1))) == {}
    assert shares(alike) == {}


def test_a_pareto_sweep_has_no_objective_and_is_judged_by_quality():
    pareto = [replace(row, neg_elbo=row.objective, objective=None) for row in rows(60)]

    assert shares(pareto, by="neg_elbo")["latent_dim"] > 0.9
    assert shares(pareto) == {}
