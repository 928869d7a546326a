"""A real sweep that promotes its best config by itself, and what can be done with it, through the command line."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_search import load_model

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(300)]

# Few images and epochs: seeds differ by more than the usual limit.
SPEC = """
name: first
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 7, high: 12}
  beta: 0.75
  learning_rate: 8e-3
  depth: 1
  width: 32
  batch_size: 32
  activation: elu
budget: {trials: 2, epochs: 27}
pruning: off
confirm: {finalists: 1, seeds: 3}
promote: {model: tiny, limits: {seed_spread: 20}, fit_prior: 20}
"""
USE_ELSEWHERE = """
import sys
import tensorflow as tf

served = tf.saved_model.load(sys.argv[1])
drawn = served.signatures["sample"](count=tf.constant(3), seed=tf.constant(1))["images"]
code = served.signatures["encode"](images=drawn)
print(drawn.shape, code["mean"].shape, code["log_variance"].shape)
"""


def run(folder: Path, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vae_search", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which a sweep has promoted its best config."""
    folder = tmp_path_factory.mktemp("champion")
    (folder / "first.yaml").write_text(SPEC)
    done = run(folder, "run", "first.yaml", "--json")
    (folder / "promotion.json").write_text(json.dumps(json.loads(done.stdout)["promotion"]))
    return folder


def test_a_sweep_promotes_its_best_config_by_itself(folder):
    promotion = json.loads((folder / "promotion.json").read_text())

    assert (promotion["outcome"], promotion["model"], promotion["champion"]) == ("promoted", "tiny", 1)
    assert all(gate["passed"] for gate in promotion["gates"])
    assert promotion["test"]["images"] == 297
    version = folder / "vae-store" / "models" / "tiny" / "versions" / "1"
    assert "## Gates" in (version / "card.md").read_text()
    assert "prior: fitted mixture of 20," in (version / "card.md").read_text()
    assert len(np.unique(np.asarray(Image.open(version / "samples.png")))) > 50


def test_asking_again_changes_nothing(folder):
    before = {path: path.read_bytes() for path in (folder / "vae-store" / "models").rglob("*") if path.is_file()}

    assert "champion of tiny already" in run(folder, "run", "first.yaml").stdout
    assert "champion of tiny already" in run(folder, "promote", "first").stdout

    after = {path: path.read_bytes() for path in (folder / "vae-store" / "models").rglob("*") if path.is_file()}
    assert after == before


def test_a_second_sweep_replaces_the_champion_only_if_it_is_better(folder):
    rules = "promote={model: tiny, limits: {seed_spread: 20}, min_gain: 50}"

    worse = run(folder, "run", "first.yaml", "--set", "name=second", "--set", "seed=1", "--set", rules)
    refused = run(folder, "promote", "second", code=8)

    assert "was not promoted; tiny:1 stays champion" in worse.stdout
    assert "tiny:1 stays champion" in refused.stderr
    assert "Traceback" not in refused.stderr
    (model,) = json.loads(run(folder, "models", "--json").stdout)
    assert (model["champion"], model["versions"]) == (1, 1)


def test_a_champion_is_used_from_python_and_from_the_command_line(folder):
    images = load_model("tiny@champion", store=folder / "vae-store").sample(5, seed=1)
    for name in ("sample", "reconstruct", "traverse", "interpolate"):
        run(folder, name, "tiny", "-o", f"{name}.png")
    found = json.loads(run(folder, "evaluate", "tiny:1", "--json").stdout)

    assert images.shape == (5, 8, 8, 1)
    assert all(len(np.unique(np.asarray(Image.open(folder / f"{name}.png")))) > 20 for name in ("sample", "traverse"))
    test = json.loads((folder / "promotion.json").read_text())["test"]
    assert found["neg_iwae"] == pytest.approx(test["neg_iwae"], abs=1e-9)


def test_a_champion_is_used_with_tensorflow_alone(folder):
    served = folder / "vae-store" / "models" / "tiny" / "serving" / "1"

    done = subprocess.run(
        [sys.executable, "-c", USE_ELSEWHERE, served], text=True, capture_output=True, check=True, cwd="/"
    )

    assert done.stdout.split(") ")[0] == "(3, 8, 8, 1"


def test_after_a_refusal_the_command_that_is_printed_runs_although_model_and_sweep_have_one_name(folder):
    rules = "promote={model: first, limits: {rate: 100000}}"

    refused = run(folder, "run", "first.yaml", "--set", rules)
    printed = re.search(r"^Pictures: vae-search (.+)$", refused.stdout, re.MULTILINE)

    assert "there is no champion yet" in refused.stdout
    run(folder, *shlex.split(printed[1]))
    assert len(np.unique(np.asarray(Image.open(folder / "samples.png")))) > 20


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("promote", "first", "--model", "Not a name"), 2, "model"),
        (("models", "other"), 2, "no model 'other'"),
        (("rollback", "tiny"), 2, "no champion before"),
        (("rollback", "tiny", "--to", 7), 2, "version 7 does not exist"),
        (("evaluate", "tiny:9"), 2, "version 9"),
        (("evaluate", "tiny@best"), 2, "tiny@best"),
        (("sample", "nothing"), 2, "nothing"),
        (("run", "first.yaml", "--set", "promote={model: tiny, limits: {rates: 1}}"), 2, "no gate is called 'rates'"),
    ],
)
def test_a_mistake_is_explained_in_a_few_lines(folder, arguments, code, words):
    done = run(folder, *arguments, code=code)

    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_a_damaged_version_is_not_loaded(folder):
    path = folder / "vae-store" / "models" / "tiny" / "versions" / "1" / "model.weights.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])

    damaged, verified = run(folder, "sample", "tiny", code=3), run(folder, "verify", code=3)

    path.write_bytes(whole)
    assert "model.weights.h5" in damaged.stderr
    assert "model.weights.h5" in verified.stdout
