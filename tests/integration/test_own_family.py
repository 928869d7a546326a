"""A family that a package brings: searched, killed, resumed, promoted, used where the package is not installed."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vae_search
from tests.support.killed_sweeps import LENIENT_LIMITS, environment, killed_after, promoted, results, searched_again
from tests.support.plugins import install
from vae_search.errors import InvalidSpec
from vae_search.spec.own_code import code_loading
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

SPEC = f"""
name: ringed
data: {{source: digits}}
search_space: {{architecture: rings, squeeze: {{type: int, low: 1, high: 2}}, latent_dim: 8, learning_rate: 0.006}}
ema_decay: 0.9
budget: {{trials: 1, epochs: 9}}
pruning: off
checkpoint_s: 0.001
confirm: {{finalists: 1, seeds: 3}}
promote: {{model: ringed, limits: {LENIENT_LIMITS}}}
"""
KILLED_AFTER = 4  # epochs, with a checkpoint of each


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed package."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def installed(package: Path) -> Iterator[None]:
    """The package, for this process, as long as the module's tests want it."""
    with pytest.MonkeyPatch.context() as patch:
        install(package, patch)
        importlib.invalidate_caches()
        yield


@pytest.fixture(scope="module")
def whole(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the sweep ran to its end and became a champion."""
    folder = tmp_path_factory.mktemp("whole")
    assert promoted(folder, SPEC) == "ringed:1"
    return folder


def rows_of(folder: Path) -> list[TrialRow]:
    return Ledger(open_store(str(folder / "store")), "ringed").trials()


def test_a_killed_sweep_goes_on_from_its_checkpoint_and_ends_with_the_same_bits(
    whole: Path, package: Path, tmp_path: Path
):
    (tmp_path / "sweep.yaml").write_text(SPEC)
    killed_after(KILLED_AFTER, "sweep.yaml", [], folder=tmp_path, path=[package])
    before = rows_of(tmp_path)

    searched_again(tmp_path)

    rows = rows_of(tmp_path)
    assert (len(before), len(rows), rows[0].attempts) == (0, 1, 2)
    assert results(rows) == results(rows_of(whole))  # the digest of the kept weights among them
    assert rows[0].artifact_sha256 is not None
    assert "ring_layers" in json.loads(rows[0].versions_json)


ELSEWHERE = """
import sys
import numpy as np
import vae_search
from vae_search.cli.app import main
np.save("samples.npy", vae_search.load_model("ringed", store="store").sample(3, seed=1))
codes = []
for command in ("sample ringed -o grid.png", "verify"):
    sys.argv = ["vae-search", *command.split(), "--store", "store"]
    try:
        main()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code or 0)
print("\\n", codes, "ring_family" in sys.modules)
"""


def test_the_version_runs_where_the_package_is_not_installed(whole: Path, tmp_path: Path):
    here = vae_search.load_model("ringed", store=whole / "store").sample(3, seed=1)
    (tmp_path / "store").symlink_to(whole / "store")

    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )

    assert done.stdout.splitlines()[-1] == " [0, 0] False", done.stdout + done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "samples.npy"), here, atol=1e-6)


def test_a_sweep_does_not_go_on_where_the_package_is_not(whole: Path, package: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(package)])
    monkeypatch.setattr(code_loading, "_provided", {})

    with pytest.raises(InvalidSpec, match="'rings' is unknown"):
        vae_search.resume("ringed", store=whole / "store", inline=True, overrides=["budget.trials=2"])
