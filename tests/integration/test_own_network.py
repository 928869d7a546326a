"""The example of a network of one's own: searched, killed, resumed, promoted, used where its code is not installed."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vae_search
from tests.support.killed_sweeps import environment, killed_after, results
from tests.support.paths import ROOT
from vae_search.errors import Conflict, InvalidSpec
from vae_search.services.checks.reproduction import reproduce
from vae_search.services.models import galleries
from vae_search.spec.own_code import code_loading
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import sweep_record
from vae_search.vae.inference.model import VaeModel

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow, pytest.mark.timeout(400)]

EXAMPLE = ROOT / "examples" / "own_network"
SMALL = [
    "budget.trials=1",
    "budget.epochs=15",
    "pruning=off",
    "checkpoint_s=0.001",
    "search_space.dim=16",
    "search_space.learning_rate=6e-3",
    "search_space.latent_dim=8",
    "search_space.heads=2",
    "promote.limits={seed_spread: 10}",  # so short a training leaves seeds apart
]
KILLED_AFTER = 7  # epochs, with a checkpoint of each


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was told of no code."""
    monkeypatch.setattr(code_loading, "_places", {})
    monkeypatch.setattr(code_loading, "_provided", {})
    monkeypatch.delenv(code_loading.VARIABLE, raising=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example, whose sweep ran to its end and became a champion."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    done = vae_search.run(folder / "attention.yaml", store=folder / "store", inline=True, overrides=SMALL)
    assert done.champion == "attention:1"
    return folder


def rows_of(folder: Path) -> list[TrialRow]:
    return Ledger(open_store(str(folder / "store")), "attention").trials()


def test_a_killed_sweep_goes_on_from_its_checkpoint_and_ends_with_the_same_bits(whole: Path, tmp_path: Path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    killed_after(KILLED_AFTER, "attention.yaml", SMALL, folder=tmp_path)
    before = rows_of(tmp_path)

    vae_search.run(
        tmp_path / "attention.yaml",
        store=tmp_path / "store",
        inline=True,
        overrides=[*SMALL, "promote=null", "confirm.finalists=0"],
    )

    rows = rows_of(tmp_path)
    assert (len(before), len(rows)) == (0, 1)
    assert rows[0].attempts == 2
    assert results(rows) == results(rows_of(whole))  # the digests of the kept weights among them
    assert rows[0].artifact_sha256 is not None


def test_identity_of_the_code_stands_in_record_row_and_card(whole: Path):
    store = open_store(str(whole / "store"))
    (identity,) = sweep_record.read(store, "attention").code.values()
    card = json.loads((whole / "store/models/attention/versions/1/card.json").read_text())

    known = {"package": "attention_net", "version": None, "files": {"attention_net.py": _sha256(EXAMPLE)}}
    assert {name: getattr(identity, name) for name in known} == known
    shown = f"not installed, sha256 {identity.sha256}"
    assert {json.loads(row.versions_json)["attention_net"] for row in rows_of(whole)} == {shown}
    assert card["versions"]["attention_net"] == shown


def test_a_sweep_goes_on_with_no_other_code(whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    source = tmp_path / "attention_net.py"
    source.write_text(source.read_text().replace('"gelu"', '"relu"'))

    with pytest.raises(Conflict, match=r"attention_net\.py: SHA-256 [0-9a-f]{12}… → [0-9a-f]{12}…"):
        vae_search.run(
            tmp_path / "attention.yaml",
            store=tmp_path / "store",
            inline=True,
            overrides=[*SMALL, "budget.trials=2"],
        )

    assert len(rows_of(tmp_path)) == 1


def test_a_sweep_does_not_go_on_where_its_code_is_not(whole: Path):
    with pytest.raises(InvalidSpec, match="attention_net: no such module in what is installed"):
        vae_search.resume("attention", store=whole / "store", inline=True, overrides=["budget.trials=2"])


ELSEWHERE = """
import sys
import numpy as np
import vae_search
from vae_search.cli.app import main
model = vae_search.load_model("attention", store="store")
np.save("samples.npy", model.sample(3, seed=1))
codes = []
for command in ("sample attention -o grid.png", "evaluate attention --json", "verify"):
    sys.argv = ["vae-search", *command.split(), "--store", "store"]
    try:
        main()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code or 0)
print("\\n", codes, "attention_net" in sys.modules)
"""


def test_the_version_runs_where_its_code_is_not_installed(whole: Path):
    elsewhere = whole / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "store").symlink_to(whole / "store")

    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=elsewhere, env=environment(), capture_output=True, text=True
    )

    assert done.stdout.splitlines()[-1] == " [0, 0, 0] False", done.stdout + done.stderr
    came = json.loads((whole / "store/models/attention/versions/1/card.json").read_text())["provenance"]
    key = f"{came['trial']:06d}-s{came['artifact_seed']}"
    files = artifacts.load(open_store(str(whole / "store")), "attention", key, sha256=came["artifact_sha256"])
    code_loading.look_in([EXAMPLE])
    trained = VaeModel.from_files(files[artifacts.MODEL_FILE], files[artifacts.WEIGHTS_FILE])
    samples = np.load(elsewhere / "samples.npy")
    np.testing.assert_allclose(samples, trained.sample(3, seed=1), atol=1e-6)


def test_a_trial_needs_the_code_that_it_was_trained_with(whole: Path, tmp_path: Path):
    store = open_store(str(whole / "store"))
    with pytest.raises(InvalidSpec, match="attention_net: no such module"):
        galleries.subject(store, "attention/0")

    code_loading.look_in([EXAMPLE])

    assert galleries.subject(store, "attention/0").model.sample(1, seed=1).shape == (1, 8, 8, 1)


def test_a_trial_comes_out_again_with_its_code_and_with_no_other(whole: Path, tmp_path: Path):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    code_loading.look_in([tmp_path])
    store = open_store(str(whole / "store"))

    again = reproduce(store, "attention/0", cache=tmp_path, on_epoch=lambda _: None)
    (tmp_path / "attention_net.py").write_text("# other\n" + (tmp_path / "attention_net.py").read_text())
    with pytest.raises(Conflict, match="it was trained with attention_net not installed, sha256"):
        reproduce(store, "attention/0", cache=tmp_path, on_epoch=lambda _: None)

    assert (again.difference, again.weights_compared) == (None, True)


def _sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "attention_net.py").read_bytes()).hexdigest()
