"""Scores of a finished model on images that it has never seen."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT
from vae_search.data.builtin import read_digits
from vae_search.data.dataset import load_dataset
from vae_search.errors import BadData, InvalidSpec
from vae_search.services.checks import evaluation
from vae_search.services.models import champions
from vae_search.services.models.tensorflow_backend import TensorFlowBackend
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.local import LocalStore

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def old(tmp_path) -> LocalStore:
    """Model `before` is of 8×8 digits."""
    return LocalStore(Path(shutil.copytree(ROOT / "tests/fixtures/store_f001553/store", tmp_path / "store")))


def test_all_new_images_are_scored_and_a_relative_path_will_do(old, tmp_path, monkeypatch):
    np.save(tmp_path / "new.npy", read_digits()[:70])
    monkeypatch.chdir(tmp_path)

    found = evaluation.evaluate(old, "before", source="new.npy", cache=tmp_path)

    assert found.images == 70
    assert found.neg_iwae <= found.neg_elbo


def test_the_models_own_data_by_name_are_its_test_images(old, tmp_path):
    own, named = (evaluation.evaluate(old, "before", source=source, cache=tmp_path) for source in (None, "digits"))

    assert own == named
    assert own.images == 297


def test_a_model_of_an_older_version_scores_as_it_did(old, tmp_path):
    """Its 297 test images were evaluated as a whole batch of 500 then."""
    recorded = json.loads(Path(old.location, "models/before/versions/1/test.json").read_text())

    found = evaluation.evaluate(old, "before", source=None, cache=tmp_path)

    assert found.images == recorded["images"]
    assert found.iwae_k == recorded["iwae_k"]
    for name in ("neg_iwae", "standard_error"):
        assert getattr(found, name) == pytest.approx(recorded[name], rel=1e-6)
    assert found.neg_elbo == pytest.approx(recorded["neg_elbo"], abs=0.1)  # one draw of z then, 14 now


def test_images_of_another_shape_and_mistyped_names_are_refused(old, tmp_path):
    np.save(tmp_path / "new.npy", np.random.default_rng(0).random((70, 9, 9)))

    with pytest.raises(BadData, match="must have the model's shape"):
        evaluation.evaluate(old, "before", source=str(tmp_path / "new.npy"), cache=tmp_path)
    with pytest.raises(InvalidSpec, match="--data: 'digit' is no data set"):
        evaluation.evaluate(old, "before", source="digit", cache=tmp_path)


def test_the_gate_is_told_of_the_copies_that_were_counted(tmp_path):
    digits = read_digits()
    np.savez(tmp_path / "leak.npz", x_train=digits[:300], x_test=digits[290:330])
    leaking = load_dataset(DataSpec(source=str(tmp_path / "leak.npz")), cache=tmp_path)

    share = TensorFlowBackend(lambda: leaking).held_out_share_in_train()

    assert share == leaking.summary.in_train["test"] / 40
    assert 0.1 < share <= 0.25


def test_new_images_are_scaled_as_the_summary_in_the_card_says(old, tmp_path, monkeypatch):
    dark = (read_digits()[:70] * 900).astype(np.uint16)  # of 12 bits, which their brightest pixel does not tell
    np.save(tmp_path / "new.npy", dark)
    np.save(tmp_path / "same.npy", (dark >> 4).astype(np.uint8))
    with pytest.raises(BadData, match="must lie in 0 … 255"):
        evaluation.evaluate(old, "before", source=str(tmp_path / "new.npy"), cache=tmp_path)
    summary = load_dataset(DataSpec(source="digits"), cache=tmp_path).summary
    loaded = replace(champions.load(old, "before"), images=replace(summary, scaling="12 bits"))
    monkeypatch.setattr(champions, "load", lambda *_: loaded)

    found, same = (
        evaluation.evaluate(old, "before", source=str(tmp_path / name), cache=tmp_path)
        for name in ("new.npy", "same.npy")
    )

    assert found.neg_iwae == same.neg_iwae
