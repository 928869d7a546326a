"""Sweeps in one process: to the end, interrupted and resumed, and taken over from drivers that ran on Ray."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import interrupted_run
from tests.support.paths import ROOT
from vae_search.core.trial_state import Reason, State
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

pytestmark = pytest.mark.timeout(300)

FIXTURE = ROOT / "tests" / "fixtures" / "store_f001553" / "store"
SPEC = """
name: tiny
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 8}
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
  depth: 1
  width: {type: categorical, choices: [16, 32]}
  batch_size: 64
budget: {trials: 4, epochs: 6}
confirm: {finalists: 1, seeds: 2}
pruning: {min_epochs: 3, reduction_factor: 3}
"""
COSTS = {
    "cpu_s",
    "wall_s",
    "images_per_s",
    "peak_memory_bytes",
    "started_at",
    "finished_at",
    "lease",
    "attempts",
    "incarnation",
}
COSTS |= {"node_id", "epochs_sha256", "spec_sha256"}  # a curve has the seconds of its epochs


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "vae_search", *map(str, arguments)]


def ask(folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), cwd=folder, text=True, capture_output=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def rows_of(folder: Path, sweep: str = "tiny") -> list[TrialRow]:
    return Ledger(open_store(str(folder / "vae-store")), sweep).trials()


def results(rows: list[TrialRow]) -> list[dict[str, object]]:
    """All of the rows that does not depend on when and how fast they were trained."""
    return [{name: getattr(row, name) for name in row.__dataclass_fields__ if name not in COSTS} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep that ran inline without a break."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.yaml").write_text(SPEC)
    ask(folder, "run", "tiny.yaml", "--inline")
    return folder


def test_a_sweep_runs_to_its_end_with_its_confirm_runs(whole):
    (status,) = json.loads(ask(whole, "status", "tiny", "--json").stdout)

    assert (status["state"], status["finished"], status["confirm_runs"]) == ("finished", 4, 2)
    assert [row.trial for row in rows_of(whole)] == [0, 1, 2, 3]
    assert "all intact" in ask(whole, "verify", "tiny").stdout


def test_neither_ray_nor_its_processes_are_needed(tmp_path):
    (tmp_path / "tiny.yaml").write_text(SPEC)
    code = (
        "import sys, vae_search\n"
        "sys.modules['ray'] = None\n"  # importing it fails
        "done = vae_search.run('tiny.yaml', store='store', inline=True,\n"
        "    overrides=['budget.trials=1', 'budget.epochs=2', 'confirm.finalists=0', 'pruning=off'])\n"
        "print(done.state, done.trials)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True)

    assert done.stdout == "finished 1\n", done.stderr


def test_an_interrupted_sweep_has_its_epoch_saved_and_ends_with_the_same_results(whole, tmp_path):
    (tmp_path / "tiny.yaml").write_text(SPEC)
    code, errors = interrupted_run("tiny.yaml", "--inline", folder=tmp_path)
    assert code == 130, errors
    assert "vae-search resume tiny" in errors
    before = rows_of(tmp_path)

    ask(tmp_path, "run", "tiny.yaml", "--inline")

    assert 1 <= len(before) < 4
    known = {row.trial for row in before}
    assert [row for row in rows_of(tmp_path) if row.trial in known] == before
    assert results(rows_of(tmp_path)) == results(rows_of(whole))


@pytest.mark.ray
def test_a_sweep_begun_inline_and_continued_on_ray_has_the_same_results(whole, tmp_path):
    (tmp_path / "tiny.yaml").write_text(SPEC)
    ask(tmp_path, "run", "tiny.yaml", "--inline", "--set", "budget.trials=2", "--set", "confirm.finalists=0")
    inline = rows_of(tmp_path)

    ask(tmp_path, "run", "tiny.yaml", "--set", "resources.concurrency=1")

    assert rows_of(tmp_path)[:2] == inline
    assert results(rows_of(tmp_path)) == results(rows_of(whole))


def test_a_sweep_that_a_driver_on_ray_left_is_taken_over(tmp_path):
    shutil.copytree(FIXTURE, tmp_path / "vae-store")
    before = rows_of(tmp_path, "interrupted")
    (tmp_path / "spec.yaml").write_bytes((tmp_path / "vae-store/sweeps/interrupted/spec.yaml").read_bytes())

    ask(tmp_path, "run", "spec.yaml", "--inline", "--set", "pruning=off", "--set", "budget.trials=8")

    rows = {row.trial: row for row in rows_of(tmp_path, "interrupted")}
    assert sorted(rows) == list(range(8))
    assert [rows[row.trial] for row in before] == before
    (status,) = json.loads(ask(tmp_path, "status", "interrupted", "--json").stdout)
    assert status["state"] == "finished"


def test_a_trial_that_takes_too_long_fails_after_two_attempts(tmp_path):
    slow = SPEC.replace("{type: categorical, choices: [16, 32]}", "512").replace(
        "trials: 4, epochs: 6", "trials: 1, epochs: 500"
    )
    (tmp_path / "tiny.yaml").write_text(slow + "trial_timeout_s: 1\n")

    ask(tmp_path, "run", "tiny.yaml", "--inline", code=6)

    (row,) = rows_of(tmp_path)
    assert (row.state, row.reason, row.attempts) == (State.FAIL, Reason.TIMEOUT, 3)  # the third one only tells


def test_a_cluster_and_inline_exclude_each_other(tmp_path):
    (tmp_path / "tiny.yaml").write_text(SPEC)

    refused = ask(tmp_path, "run", "tiny.yaml", "--inline", "--address", "auto", code=2)

    assert "--address" in refused.stderr
    assert not (tmp_path / "vae-store").exists()
