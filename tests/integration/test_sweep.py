"""Real sweeps on a real Ray with real TensorFlow, through the command line."""

import json
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import in_this_process, interrupted_run, vae_search
from tests.support.hostile_folder import put_hostile_modules
from vae_search.core.machine import usable_cores
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SPEC = """
name: tiny
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 8}
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
  beta: {type: float, low: 0.25, high: 4.0, log: true}
  depth: 1
  width: {type: categorical, choices: [16, 32]}
  batch_size: 64
budget: {trials: 8, epochs: 9}
confirm: {finalists: 0}
pruning: {min_epochs: 3, reduction_factor: 3}
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "vae_search", *map(str, arguments)]


def ask(folder: Path, *arguments: object) -> str:
    done = subprocess.run(command(*arguments), cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(folder: Path, *arguments: object) -> str:
    """What a command says that only reads; such commands in the hostile folder are the business of `ask`."""
    done = vae_search(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def refused(folder: Path, *arguments: object, code: int) -> str:
    """Errors of a command that is refused."""
    done = in_this_process(*map(str, arguments), folder=folder)
    assert done.returncode == code, done.stderr
    return done.stderr.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a finished sweep, which was interrupted once on its way."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.yaml").write_text(SPEC)
    put_hostile_modules(folder, package=False)
    code, errors = interrupted_run("tiny.yaml", folder=folder)
    assert code == 130, errors
    assert "vae-search resume tiny" in errors
    rows = Ledger(open_store(str(folder / "vae-store")), "tiny").trials()
    assert 1 <= len(rows) < 8
    (folder / "before.json").write_text(json.dumps({row.trial: row.finished_at.isoformat() for row in rows}))
    ask(folder, "resume", "tiny")
    return folder


def test_a_resumed_sweep_has_one_row_per_trial_and_repeats_none(folder):
    before = json.loads((folder / "before.json").read_text())
    rows = duckdb.read_parquet(f"{folder}/vae-store/sweeps/*/trials/*.parquet")

    after = {
        row.trial: row.finished_at.isoformat() for row in Ledger(open_store(f"{folder}/vae-store"), "tiny").trials()
    }

    assert rows.aggregate("count(*), count(DISTINCT trial)").fetchall() == [(8, 8)]
    assert all(after[int(trial)] == finished for trial, finished in before.items())


def test_a_finished_sweep_is_intact_and_has_a_copy_for_readers_in_a_hurry(folder):
    copies = [path.name for path in (folder / "vae-store" / "sweeps" / "tiny" / "compact").iterdir()]

    assert sorted(copies) == ["epochs-000008.parquet", "trials-000008.parquet"]
    assert "all intact" in told(folder, "verify", "tiny")


def test_a_finished_sweep_is_shown_at_once(folder):
    started = time.process_time()

    output = ask(folder, "run", "tiny.yaml")

    assert "8 of 8 trials done" in output
    assert "starting Ray" not in output
    assert time.process_time() >= started


def test_best_ranks_complete_trials_by_objective(folder):
    best = json.loads(told(folder, "best", "tiny", "--json"))

    assert best
    assert all(trial["state"] == "COMPLETE" for trial in best)
    assert [trial["objective"] for trial in best] == sorted(trial["objective"] for trial in best)
    assert set(best[0]) >= {"trial", "state", "objective", "neg_elbo", "instability", "epochs", "train_flops", "params"}


def test_both_cores_train(folder):
    if usable_cores() < 2:
        pytest.skip("this machine has one core")

    logs = sorted((folder / "vae-store" / "sweeps" / "tiny" / "logs").glob("worker-*.log"))

    assert sum("starts" in log.read_text() for log in logs) >= 2


@pytest.mark.exhaustive
def test_concurrency_limits_how_many_trials_run_at_once(folder):
    ask(
        folder,
        "run",
        "tiny.yaml",
        "--set",
        "name=alone",
        "--set",
        "resources.concurrency=1",
        "--set",
        "budget.trials=3",
    )

    logs = (folder / "vae-store" / "sweeps" / "alone" / "logs").glob("worker-*.log")
    assert sum("starts" in log.read_text() for log in logs) == 1


def test_a_picture_that_cannot_be_written_is_refused(folder):
    said = refused(folder, "sample", "tiny", "-o", "nowhere/x.png", code=2)

    assert "nowhere/x.png" in said
    assert "Traceback" not in said


def test_weights_that_were_not_kept_are_explained(folder):
    rows = Ledger(open_store(f"{folder}/vae-store"), "tiny").trials()
    pruned = next(row.trial for row in rows if row.artifact_sha256 is None)

    assert "not kept" in refused(folder, "sample", f"tiny/{pruned}", code=2)


def test_query_counts_what_status_counts(folder):
    (status,) = json.loads(told(folder, "status", "tiny", "--json"))
    counted = json.loads(
        ask(folder, "query", "SELECT state, count(*) AS n FROM trials GROUP BY state", "--sweep", "tiny", "--json")
    )

    assert status["state"] == "finished"
    assert {row["state"]: row["n"] for row in counted} == {
        state: n
        for state, n in (("COMPLETE", status["complete"]), ("PRUNED", status["pruned"]), ("FAIL", status["failed"]))
        if n
    }


def test_sample_draws_a_picture_with_content(folder):
    ask(folder, "sample", "tiny", "-o", "grid.png", "-n", "16")

    pixels = np.asarray(Image.open(folder / "grid.png"))
    assert pixels.ndim == 2
    assert min(pixels.shape) > 200
    assert len(np.unique(pixels)) > 20


def test_another_spec_under_the_same_name_is_refused_with_the_difference(folder):
    said = refused(folder, "run", "tiny.yaml", "--set", "budget.epochs=12", code=5)

    assert "budget.epochs: 9 → 12" in said


@pytest.mark.exhaustive
def test_the_budget_may_grow(folder):
    ask(folder, "run", "tiny.yaml", "--inline", "--set", "budget.trials=9")

    rows = Ledger(open_store(f"{folder}/vae-store"), "tiny").trials()
    assert [row.trial for row in rows] == list(range(9))


@pytest.mark.exhaustive
def test_a_sweep_goes_on_without_its_spec_file_and_remembers_its_grown_budget(folder):
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    store = ("--store", folder / "vae-store")

    ask(elsewhere, "resume", "tiny", "--inline", *store, "--set", "budget.trials=10")
    (status,) = json.loads(ask(elsewhere, "status", "tiny", *store, "--json"))

    assert (status["finished"], status["trials"], status["state"]) == (10, 10, "finished")
    assert "10 of 10 trials done" in ask(elsewhere, "resume", "tiny", *store)


@pytest.mark.parametrize(
    ("override", "code", "words"),
    [
        ("budget.epochs=12", 5, "budget.epochs: 9 → 12"),
        ("name=other", 2, "keeps its name"),
        ("budget.trials=-1", 2, "budget.trials"),
    ],
)
def test_what_a_sweep_may_not_change_on_its_way_is_refused(folder, override, code, words):
    said = refused(folder, "resume", "tiny", "--set", override, code=code)

    assert words in said
    assert len(said.splitlines()) <= 3


@pytest.mark.exhaustive
def test_a_sweep_whose_time_is_up_ends_well_with_fewer_trials(folder):
    budget = "budget={trials: 500, epochs: 9, minutes: 0.4}"
    hasty = ("run", "tiny.yaml", "--inline", "--json", "--set", "name=hasty", "--set", budget)

    confirm = ("--set", "confirm={finalists: 1, seeds: 2}")
    first, again = (json.loads(ask(folder, *hasty, *confirm, "--set", "pruning=off")) for _ in range(2))

    assert first["state"] == "finished"
    assert 0 < first["complete"] <= first["finished"] < 500
    assert first["confirm_runs"] <= 2  # none is begun any more when the time is over
    assert (again["finished"], again["state"]) == (first["finished"], "finished")
