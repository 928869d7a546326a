"""A sweep of models with two levels of latents: searched, killed, resumed, promoted, reloaded, pictured."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vae_search
from tests.support.command_line import in_this_process
from tests.support.killed_sweeps import LENIENT_LIMITS, killed_after, promoted, results, searched_again
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.exhaustive, pytest.mark.timeout(600)]

# Each learns more than the mean image within the epochs: a gate's limit is a share of that.
TRAININGS = {
    "hvae": {"width": 32, "beta": 0.3, "learning_rate": 0.006},
    "hvae_conv": {"width": 16, "beta": 0.6, "learning_rate": 0.003},
}
KILLED_AFTER = 3  # epochs, with a checkpoint of each


def spec_of(family: str) -> str:
    return f"""
name: levels
data: {{source: digits}}
search_space:
  {json.dumps({"architecture": family, "latent_dim": 7, "depth": 1, "batch_size": 16} | TRAININGS[family])}
ema_decay: 0.9
budget: {{trials: 1, epochs: 9}}
pruning: off
checkpoint_s: 0.001
confirm: {{finalists: 1, seeds: 3}}
promote: {{model: levels, limits: {LENIENT_LIMITS}}}
"""


@pytest.fixture(scope="module", params=[*TRAININGS])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the sweep ran to its end and became a champion."""
    folder = tmp_path_factory.mktemp("whole")
    assert promoted(folder, spec_of(family)) == "levels:1"
    return folder


def rows_of(folder: Path) -> list[TrialRow]:
    return Ledger(open_store(str(folder / "store")), "levels").trials()


def test_a_killed_sweep_goes_on_from_its_checkpoint_to_the_same_bits(family: str, whole: Path, tmp_path: Path):
    (tmp_path / "sweep.yaml").write_text(spec_of(family))
    killed_after(KILLED_AFTER, "sweep.yaml", [], folder=tmp_path, path=[])

    searched_again(tmp_path)

    rows = rows_of(tmp_path)
    assert rows[0].attempts == 2
    assert results(rows) == results(rows_of(whole))  # the digest of the kept weights among them


def test_the_champion_is_used_like_any_other(whole: Path):
    model = vae_search.load_model("levels", store=whole / "store")
    mean, log_variance = model.encode(np.zeros((2, 8, 8, 1), np.float32))

    assert mean.shape == log_variance.shape == (2, 7)
    for picture in ("sample", "reconstruct", "traverse", "interpolate"):
        name = f"{picture}.png"
        done = in_this_process(picture, "levels", "-o", name, "--store", "store", folder=whole)
        assert done.returncode == 0, done.stderr
        assert Image.open(io.BytesIO((whole / name).read_bytes())).size[0] > 56
    assert in_this_process("evaluate", "levels", "--store", "store", folder=whole).returncode == 0
    assert in_this_process("verify", "--store", "store", folder=whole).returncode == 0
