"""Scores of a finished model on images that it has never seen."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT
from vae_search.data.builtin import read_digits
from vae_search.errors import BadData, InvalidSpec
from vae_search.services.models import champions
from vae_search.store.backends.local import LocalStore

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def old(tmp_path) -> LocalStore:
    """Model `before` is of 8×8 digits."""
    return LocalStore(Path(shutil.copytree(ROOT / "tests/fixtures/store_f001553/store", tmp_path / "store")))


def test_all_new_images_are_scored_and_a_relative_path_will_do(old, tmp_path, monkeypatch):
    np.save(tmp_path / "new.npy", read_digits()[:70])
    monkeypatch.chdir(tmp_path)

    found = champions.evaluate(old, "before", source="new.npy", cache=tmp_path)

    assert found.images == 70
    assert found.neg_iwae <= found.neg_elbo


def test_the_models_own_data_by_name_are_its_test_images(old, tmp_path):
    own, named = (champions.evaluate(old, "before", source=source, cache=tmp_path) for source in (None, "digits"))

    assert own == named
    assert own.images == 297


def test_images_of_another_shape_and_mistyped_names_are_refused(old, tmp_path):
    np.save(tmp_path / "new.npy", np.random.default_rng(0).random((70, 9, 9)))

    with pytest.raises(BadData, match="must have the model's shape"):
        champions.evaluate(old, "before", source=str(tmp_path / "new.npy"), cache=tmp_path)
    with pytest.raises(InvalidSpec, match="--data: 'digit' is no data set"):
        champions.evaluate(old, "before", source="digit", cache=tmp_path)
