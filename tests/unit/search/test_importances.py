"""Optuna's importances, asked through our rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.rows import trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.search.study.importances import MIN_TRIALS, importances, importances_with_pruned
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


def test_a_parameter_that_decides_who_is_pruned_is_seen_among_pruned_trials_only():
    """All that complete are alike: their spread is noise."""
    random = np.random.default_rng(1)

    def ended(trial: int, latent_dim: int, beta: float):
        row = trial_row(trial, params={"architecture": "mlp", "latent_dim": latent_dim, "beta": beta}, epochs=27)
        if latent_dim == 16:
            return replace(row, objective=100.0 + random.normal(0, 0.01))
        epochs = 9 if latent_dim > 8 else 3
        values = {"epochs": epochs, "neg_elbo": 130.0 - latent_dim, "objective": None}
        return replace(row, state=State.PRUNED, reason=Reason.RUNG, **values)

    trials = [ended(trial, int(random.choice([2, 4, 12, 16])), random.uniform(0.25, 4.0)) for trial in range(60)]

    found = importances_with_pruned(SPACE, trials, by="objective")

    assert sum(found.values()) == pytest.approx(1.0)
    assert found["latent_dim"] > 0.9
    assert importances(SPACE, trials, by="objective")["latent_dim"] < 0.01
    assert importances_with_pruned(SPACE, list(rows(60)), by="objective") == {}  # none was pruned


def test_too_few_or_equal_trials_tell_nothing():
    alike = [trial_row(trial, objective=100.0) for trial in range(20)]

    assert importances(SPACE, list(rows(MIN_TRIALS - 1)), by="objective") == {}
    assert importances(SPACE, alike, by="objective") == {}


def test_a_pareto_sweep_has_no_objective_and_is_judged_by_quality():
    pareto = [replace(row, neg_elbo=row.objective, objective=None) for row in rows(60)]

    assert importances(SPACE, pareto, by="neg_elbo")["latent_dim"] > 0.9
    assert importances(SPACE, pareto, by="objective") == {}
