"""Optuna's importances, asked through our rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.rows import trial_row
from vae_search.search.study.importances import MIN_TRIALS, importances
from vae_search.spec.sweep_spec import parse_spec

SPACE = parse_spec(
    "name: x\ndata: {source: digits}\nsearch_space: {architecture: mlp, latent_dim: {type: int, low: 2, high: 32},"
    " beta: {type: float, low: 0.25, high: 4.0}}\nbudget: {trials: 4, epochs: 27}",
    base=Path(),
).search_space


def rows(count: int):
    random = np.random.default_rng(0)
    for trial in range(count):
        params = {"architecture": "mlp", "latent_dim": int(random.integers(2, 33)), "beta": random.uniform(0.25, 4.0)}
        yield trial_row(trial, params=params, objective=100.0 + params["latent_dim"])


def test_the_parameter_that_decides_alone_has_nearly_all_of_it():
    found = importances(SPACE, list(rows(60)), by="objective")

    assert set(found) == {"latent_dim", "beta"}
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["latent_dim"] > 0.9


def test_too_few_or_equal_trials_tell_nothing():
    alike = [trial_row(trial, objective=100.0) for trial in range(20)]

    assert importances(SPACE, list(rows(MIN_TRIALS - 1)), by="objective") == {}
    assert importances(SPACE, alike, by="objective") == {}


def test_a_pareto_sweep_has_no_objective_and_is_judged_by_quality():
    pareto = [replace(row, neg_elbo=row.objective, objective=None) for row in rows(60)]

    assert importances(SPACE, pareto, by="neg_elbo")["latent_dim"] > 0.9
    assert importances(SPACE, pareto, by="objective") == {}
