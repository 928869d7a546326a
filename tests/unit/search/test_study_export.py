"""The exported study, opened by Optuna and by optuna-dashboard."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tests.support.reported_sweeps import HOSTILE, TEXT, complete, failed, mixed, pruned, put_sweep, spoil
from tests.support.rows import epoch_rows
from tests.support.wsgi_client import get
from vae_search.core.trial_state import Reason
from vae_search.search.messages import TrialAssignment
from vae_search.search.pending_trials import PendingTrials
from vae_search.search.study.study_export import frozen_trials
from vae_search.services import exporting
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql import query

FILES = "sqlite:///{}/study.db"
DISTRIBUTIONS = {
    "architecture": CategoricalDistribution(["mlp", "conv"]),
    "latent_dim": IntDistribution(2, 32, log=True),
    "beta": FloatDistribution(0.25, 4.0, log=True),
    "depth[architecture=mlp]": IntDistribution(1, 3),
}


DIGITS = parse_spec(TEXT, base=Path())


def keyed(params):
    """By the sampler's keys: a conditional parameter's says when it is drawn."""
    return {"depth[architecture=mlp]" if name == "depth" else name: value for name, value in params.items()}


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="digits", storage=FILES.format(folder))


def export(store, folder: Path) -> optuna.Study:
    targets = exporting.Targets(tensorboard=None, optuna=FILES.format(folder), csv=None)
    exporting.export(store, "digits", targets)
    return study_in(folder)


def test_every_trial_has_its_number_state_and_value(exported, source):
    rows = query(source, "SELECT trial, state, objective FROM trials ORDER BY trial").rows

    trials = study_in(exported).trials

    assert [(trial.number, trial.state.name) for trial in trials] == [(number, state) for number, state, _ in rows]
    assert all(trial.value == row[2] for trial, row in zip(trials, rows, strict=True) if row[1] == "COMPLETE")


def test_intermediate_values_are_the_learning_curves(exported, source):
    curves: dict[int, dict[int, float]] = {}
    for trial, epoch, value in query(source, "SELECT trial, epoch, neg_elbo FROM epochs").rows:
        curves.setdefault(trial, {})[epoch] = value

    trials = study_in(exported).trials

    assert len(curves) == 30
    assert {trial.number: trial.intermediate_values for trial in trials} == curves
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert all(trial.value == trial.intermediate_values[4] for trial in pruned)


def test_parameters_come_with_what_they_were_drawn_from(exported):
    for trial, row in zip(study_in(exported).trials, mixed(), strict=True):
        assert trial.params == keyed(row.params)
        assert trial.distributions == {name: DISTRIBUTIONS[name] for name in trial.params}


def test_optuna_finds_the_same_best_trial_and_can_go_on(exported, source, tmp_path):
    ((best,),) = query(source, "SELECT arg_min(trial, objective) FROM trials WHERE state = 'COMPLETE'").rows
    shutil.copy(exported / "study.db", tmp_path)
    study = study_in(tmp_path)

    assert study.best_trial.number == best
    assert study.metric_names == ["objective"]
    assert study.ask(DISTRIBUTIONS).number == 30


def test_times_are_those_of_the_row(exported):
    (first, *_), (row, *_) = study_in(exported).trials, mixed()

    assert first.datetime_start.astimezone() == row.started_at
    assert first.datetime_complete.astimezone() == row.finished_at
    assert first.user_attrs["distortion"] == row.distortion


def test_a_damaged_row_and_a_trial_in_flight_keep_their_places(swept, tmp_path):
    spoil(Path(swept.location) / SweepPaths("digits").trial(3))
    params = {"architecture": "conv", "latent_dim": 4, "beta": 1.0}
    PendingTrials(swept, "digits").record(TrialAssignment(trial=30, params=params, seed=1))
    PendingTrials(swept, "digits").record(TrialAssignment(trial=2, params=params, seed=1, confirm_seed=1))

    trials = export(swept, tmp_path).trials

    assert [trial.number for trial in trials] == list(range(31))
    assert trials[3].state.name == "FAIL"
    assert "lost" in trials[3].user_attrs
    assert (trials[30].state.name, trials[30].params) == ("RUNNING", params)
    assert trials[2].value == mixed()[2].objective


def test_a_sweep_without_an_objective_shows_neg_elbo(tmp_path):
    store = LocalStore(tmp_path / "store")
    put_sweep(store, [complete(0, objective=None), failed(1, error=HOSTILE)])

    trials = export(store, tmp_path).trials

    assert trials[0].value == complete(0).neg_elbo
    assert trials[1].value is None


def test_what_the_sampler_is_told_of_as_bad_is_shown_as_the_failure_that_it_was(tmp_path):
    store = LocalStore(tmp_path / "store")
    put_sweep(store, [complete(0), replace(failed(1), reason=Reason.DIVERGED), pruned(2)])

    trials = export(store, tmp_path).trials

    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "PRUNED"]
    assert trials[0].value == complete(0).objective
    assert trials[1].user_attrs["reason"] == "diverged"


def test_a_sweep_without_rows_is_a_study_without_trials(tmp_path):
    store = LocalStore(tmp_path / "store")
    put_sweep(store, [])

    assert export(store, tmp_path).trials == []


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optuna_dashboard_shows_the_file(exported):
    optuna_dashboard = pytest.importorskip("optuna_dashboard")
    app = optuna_dashboard.wsgi(FILES.format(exported))

    status, body = get(app, "/api/studies")

    assert status == "200 OK"
    (study,) = json.loads(body)["study_summaries"]
    assert study["study_name"] == "digits"
    detail = json.loads(get(app, f"/api/studies/{study['study_id']}")[1])
    assert len(detail["trials"]) == 30


def test_a_curve_has_one_measure_though_iwae_was_taken_at_rungs_alone():
    """Beside -IWAE at rungs the ELBO of the other epochs would look like an unsteady training."""
    row = complete(0)
    elbo = epoch_rows(0, epochs=4)
    mixed_curve = [replace(each, iwae=-each.neg_elbo + 1.0 if each.epoch in (2, 4) else None) for each in elbo]

    space = DIGITS.search_space
    by_elbo, by_iwae = (
        frozen_trials(space, [row], {0: curve}, ())[0].intermediate_values for curve in (elbo, mixed_curve)
    )

    assert by_elbo == {each.epoch: each.neg_elbo for each in elbo}
    assert by_iwae == {each.epoch: each.neg_elbo - 1.0 for each in elbo if each.epoch in (2, 4)}
