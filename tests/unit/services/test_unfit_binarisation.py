"""Sweeps whose spec would silently make something else of the images: refused with the keys that fit them."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import grey
from vae_search.errors import BadData
from vae_search.search.progress import Observer
from vae_search.services import sweeps
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.spec.template import template
from vae_search.store.backends.local import LocalStore


def spec_of(source: Path, *overrides: str) -> SweepSpec:
    return parse_spec(template("photos"), base=Path(), overrides=(f"data.source={source}", *overrides))


def saved(path: Path, images: np.ndarray) -> Path:
    np.save(path, images)
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    return saved(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), np.uint8))


def run(spec: SweepSpec, store: LocalStore, cache: Path) -> object:
    return sweeps.run(spec, text="", store=store, cache=cache, observer=Observer())


def estimate(spec: SweepSpec, store: LocalStore, cache: Path) -> object:
    return sweeps.estimate(spec, store=store, cache=cache)


@pytest.mark.parametrize("use_case", [run, estimate])
def test_colour_photos_with_the_spec_of_init_are_refused_before_anything_starts(use_case, photos, tmp_path):
    with pytest.raises(BadData, match="these images are in colour") as error:
        use_case(spec_of(photos), LocalStore(tmp_path / "store"), tmp_path)

    assert "set data.binarize: none and likelihood: discretized_logistic." in str(error.value)
    assert not (tmp_path / "store" / "sweeps").exists()


def test_the_keys_that_the_refusal_names_fit(photos, tmp_path):
    spec = spec_of(photos, "data.binarize=none", "likelihood=discretized_logistic")

    assert sweeps.estimate(spec, store=LocalStore(tmp_path / "store"), cache=tmp_path).images.is_coloured


@pytest.mark.parametrize("white", [1, 255])
def test_black_and_white_taken_as_grey_is_refused_whatever_white_is(white, tmp_path):
    source = saved(tmp_path / "a.npy", ((grey(300, 8, 8) > 127) * white).astype(np.uint8))
    wrong = spec_of(source, "data.binarize=none", "likelihood=gaussian")
    right = spec_of(source, "data.binarize=threshold", "likelihood=bernoulli")
    store = LocalStore(tmp_path / "store")

    with pytest.raises(BadData, match="these are all black or white") as error:
        sweeps.estimate(wrong, store=store, cache=tmp_path)

    assert "Set data.binarize: threshold and likelihood: bernoulli." in str(error.value)
    assert sweeps.estimate(right, store=store, cache=tmp_path).images.is_binary


@pytest.mark.parametrize("images", [grey(300, 8, 8), np.repeat(grey(300, 8, 8)[..., None], 3, axis=3)])
def test_grey_images_are_binarised_as_ever(images, tmp_path):
    source = saved(tmp_path / "a.npy", images)

    assert sweeps.estimate(spec_of(source), store=LocalStore(tmp_path / "store"), cache=tmp_path).slots >= 1
