"""A store of an older version: read, verified, resumed and promoted from, with that version's own answers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FIXTURE = ROOT / "tests/fixtures" / "store_f001553"
TRIALS = "SELECT sweep, trial, state, objective, neg_elbo, iwae, params_json FROM trials ORDER BY ALL"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE / "store", tmp_path / "store"))


def vae_search(store: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vae_search", *arguments, "--store", str(store)]
    return subprocess.run(command, text=True, capture_output=True, timeout=580, check=False)


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

    assert json.loads(told.stdout) == json.loads((FIXTURE / "answers" / f"{name}.json").read_text()), told.stderr


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_an_old_interrupted_sweep_is_resumed_promoted_and_intact(store):
    rows_before = {path.name: path.read_bytes() for path in (store / "sweeps/interrupted/trials").iterdir()}

    resumed = vae_search(store, "resume", "interrupted", "--json")

    assert resumed.returncode == 0, resumed.stderr
    rows = store / "sweeps/interrupted/trials"
    assert sorted(path.name for path in rows.iterdir()) == [f"{trial:06}.parquet" for trial in range(8)]
    assert {name: (rows / name).read_bytes() for name in rows_before} == rows_before
    history = json.loads(vae_search(store, "models", "before", "--json").stdout)
    assert [entry["action"] for entry in history].count("promote") == 2
    verified = vae_search(store, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    first = json.loads(vae_search(store, "best", "interrupted", "--json").stdout)[0]
    assert first["confirmed"]["seeds"] == 3
