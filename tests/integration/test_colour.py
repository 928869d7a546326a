"""A real sweep on colour photographs in 256 levels, from its spec to its champion, through the command line."""

import json
import math
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from vae_search import load_model

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(400)]

# So few epochs that seeds differ by more than the usual limit, and a model may still be far from what it could learn.
SPEC = """
name: colour
data: {source: photo_patches, binarize: none}
likelihood: discretized_logistic
search_space:
  architecture: conv
  latent_dim: {type: int, low: 12, high: 16}
  learning_rate: 3e-3
  depth: 2
  width: 8
  activation: elu
budget: {trials: 2, epochs: 4}
pruning: off
log_variance_clamp: [-10, 2]
confirm: {finalists: 1, seeds: 3}
promote: {model: photos, limits: {seed_spread: 100, generalisation: 1.0}}
"""


def run(folder: Path, *arguments: object) -> str:
    command = [sys.executable, "-m", "vae_search", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_colour_is_searched_promoted_and_used(tmp_path):
    (tmp_path / "colour.yaml").write_text(SPEC)

    promotion = json.loads(run(tmp_path, "run", "colour.yaml", "--json"))["promotion"]

    assert (promotion["outcome"], promotion["champion"]) == ("promoted", 1), promotion
    rows = duckdb.execute(
        "SELECT neg_elbo, bits_per_dim, floor_excess, scale_clamp_share FROM read_parquet(?)",
        [f"{tmp_path}/vae-store/sweeps/*/trials/*.parquet"],
    ).fetchall()
    assert len(rows) == 2
    for neg_elbo, bits, excess, clamped in rows:
        assert bits == pytest.approx(neg_elbo / (768 * math.log(2)))
        assert 2 < bits < 8  # eight are those of a model that knows nothing
        assert excess == neg_elbo  # the floor is 0
        assert 0 <= clamped < 0.1
    drawn = load_model("photos", store=tmp_path / "vae-store").draw(5, seed=1)
    assert drawn.shape == (5, 16, 16, 3)
    assert len(np.unique(drawn)) > 50
    run(tmp_path, "reconstruct", "photos", "-n", "8", "-o", "pictures.png")
    picture = np.asarray(Image.open(tmp_path / "pictures.png").convert("RGB")).astype(int)
    assert np.abs(picture[..., 0] - picture[..., 2]).mean() > 5  # in colour
    evaluated = json.loads(run(tmp_path, "evaluate", "photos", "--json"))
    assert evaluated["neg_iwae"] == pytest.approx(promotion["test"]["neg_iwae"], rel=1e-9)
    assert "champion version 1" in run(tmp_path, "models", "photos")
