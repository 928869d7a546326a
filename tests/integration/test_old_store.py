"""A store of an older version: read and verified with that version's own answers, and its champion challenged."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vae_search.core.trial_state import State
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.trials import Ledger

FIXTURE = ROOT / "tests/fixtures" / "store_f001553"
TRIALS = "SELECT sweep, trial, state, objective, neg_elbo, iwae, params_json FROM trials ORDER BY ALL"
ADDED = {"testifies"}  # of `confirmed`: whether any of its runs counts
LIMITS = ", limits: {seed_spread: 0.2, generalisation: 0.2}"  # in the units of then


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE / "store", tmp_path / "store"))


def vae_search(store: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vae_search", *arguments, "--store", str(store)]
    return subprocess.run(command, text=True, capture_output=True, timeout=580, check=False)


def without_additions(answer: object) -> object:
    """An answer without the fields that later versions have added on purpose."""
    if isinstance(answer, list):
        return [without_additions(each) for each in answer]
    if isinstance(answer, dict):
        return {name: without_additions(value) for name, value in answer.items() if name not in ADDED}
    return answer


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("best-before", ["best", "before"]),
        ("best-interrupted", ["best", "interrupted"]),
        ("status", ["status"]),
        ("models-before", ["models", "before"]),
        ("query-trials", ["query", TRIALS]),
        ("verify", ["verify"]),
    ],
)
def test_an_old_store_answers_as_it_did(store, name, arguments):
    told = vae_search(store, *arguments, "--json")

    answer = without_additions(json.loads(told.stdout))
    assert answer == json.loads((FIXTURE / "answers" / f"{name}.json").read_text()), told.stderr


def test_an_old_interrupted_sweep_is_not_continued_and_loses_nothing(store):
    before = {path: path.read_bytes() for path in (store / "sweeps").rglob("*") if path.is_file()}

    resumed = vae_search(store, "resume", "interrupted")

    assert resumed.returncode == 5, resumed.stdout + resumed.stderr
    told = resumed.stderr.strip().splitlines()
    assert len(told) <= 3
    assert "measured by version 1 of the metric" in told[0]
    assert "another name" in told[1]
    assert {path: path.read_bytes() for path in (store / "sweeps").rglob("*") if path.is_file()} == before


def test_an_old_finished_sweep_with_its_champion_answers_to_run_and_promote(store, tmp_path):
    (tmp_path / "spec.yaml").write_bytes((store / "sweeps/before/spec.yaml").read_bytes())

    again = vae_search(store, "run", str(tmp_path / "spec.yaml"), "--json")

    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["promotion"]["outcome"] == "kept"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_new_sweep_is_ranked_by_iwae_and_faces_the_old_champion(store, tmp_path):
    old = (store / "sweeps/before/spec.yaml").read_text()
    (tmp_path / "new.yaml").write_text(
        old.replace("name: before", "name: new").replace("trials: 6", "trials: 3").replace(LIMITS, "")
    )

    done = vae_search(store, "run", str(tmp_path / "new.yaml"), "--inline", "--json")

    assert done.returncode == 0, done.stderr
    *_, entry = json.loads(vae_search(store, "models", "before", "--json").stdout)
    assert entry["candidate"].startswith("new/")
    assert entry["verdicts"]["contest"] is not None, entry["reasons"]
    curves = {trial: Ledger(open_store(str(store)), "new").epochs(trial) for trial in range(3)}
    taken = {epoch.epoch for curve in curves.values() for epoch in curve if epoch.iwae is not None}
    assert taken == {3, 9, 27}
    row = next(row for row in Ledger(open_store(str(store)), "new").trials() if row.state is State.COMPLETE)
    assert row.objective == pytest.approx(-row.iwae + row.instability)
    if row.best_epoch == row.epochs:
        assert row.iwae == curves[row.trial][-1].iwae
    assert vae_search(store, "verify").returncode == 0
