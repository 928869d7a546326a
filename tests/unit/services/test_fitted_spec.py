"""Specs written for images: whatever can be read gets one that a sweep would begin with as it is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.people_files import arrays, other, pictures, tables
from tests.support.people_files.case import Case
from tests.support.pictures import grey
from vae_search.errors import BadData, InvalidSpec
from vae_search.services import sweeps
from vae_search.services.starting.fitted_spec import fitted_spec
from vae_search.spec.sweep_spec import SweepSpec, parse_spec, read_spec
from vae_search.store.backends.local import LocalStore

CASES = [*pictures.CASES, *arrays.CASES, *tables.CASES, *other.CASES]
READ = [case for case in CASES if case.refused is None]


def spec_for(source: object, folder: Path, *overrides: str) -> SweepSpec:
    """What `vae-search init` writes beside the images, and `validate` and `run` then read."""
    path = folder / "first.yaml"
    store = LocalStore(folder / "store")
    text = fitted_spec(path, name="first", source=str(source), overrides=overrides, store=store, cache=folder / "cache")
    path.write_text(text)
    spec = read_spec(path).spec
    sweeps.check_limits(spec)
    return spec


def as_yaml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {as_yaml(item)}" for key, item in value.items()) + "}"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("case", READ, ids=[case.name for case in READ])
def test_files_as_people_have_them_get_a_spec_that_a_sweep_would_begin_with(tmp_path, case: Case):
    overrides = [f"data.{key}={as_yaml(value)}" for key, value in case.choices.items()]

    spec = spec_for(case.make(tmp_path), tmp_path, *overrides)

    estimate = sweeps.estimate(spec, store=LocalStore(tmp_path / "store"), cache=tmp_path / "cache")
    assert (spec.likelihood == "bernoulli") == estimate.images.is_binary
    assert estimate.images.notes or not case.said


def test_a_folder_that_is_called_as_a_data_set_is_meant_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    for k, image in enumerate(grey(100, 12, 12)):
        Image.fromarray(image).save(tmp_path / f"digits/{k}.png")
    monkeypatch.chdir(tmp_path)

    spec = spec_for("./digits", tmp_path)

    assert spec.data.source == str(tmp_path / "digits")
    assert "  source: ./digits\n" in (tmp_path / "first.yaml").read_text()


def test_a_source_is_written_relative_to_the_spec_if_it_lies_below(tmp_path):
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub/a.npy", grey(300, 8, 8))
    np.save(tmp_path / "b.npy", grey(300, 8, 8))

    text = fitted_spec(
        tmp_path / "x.yaml",
        name="x",
        source=str(tmp_path / "sub/a.npy"),
        overrides=(),
        store=LocalStore(tmp_path / "store"),
        cache=tmp_path,
    )

    assert "  source: sub/a.npy\n" in text
    assert spec_for(tmp_path / "b.npy", tmp_path / "sub").data.source == str(tmp_path / "b.npy")


def test_a_data_set_by_name_gets_its_spec(tmp_path):
    spec = spec_for("digits", tmp_path)

    assert spec.data.source == "digits"
    assert spec.likelihood == "discretized_logistic"


@pytest.mark.parametrize("override", ["seed=1", "data.source=x", "data.binarize=none"])
def test_only_how_the_images_are_read_may_be_set(tmp_path, override):
    with pytest.raises(InvalidSpec, match="must be a key of `data` that says how the images are read"):
        spec_for("digits", tmp_path, override)


def test_what_is_asked_for_is_written_once_and_as_asked(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (300, 16, 16, 3), np.uint8))

    by_itself, asked = (spec_for(tmp_path / "a.npy", tmp_path, *said) for said in ((), ("data.mirror=false",)))

    assert (by_itself.data.mirror, asked.data.mirror) == (True, False)
    assert (tmp_path / "first.yaml").read_text().count("mirror:") == 1


def test_colours_as_floats_are_refused_by_their_name(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((300, 8, 8, 3)))

    with pytest.raises(BadData, match=r"a\.npy: these are colours as floats") as error:
        spec_for(tmp_path / "a.npy", tmp_path)

    assert len(str(error.value).splitlines()) == 2


def test_a_refusal_that_asks_for_a_key_says_how_init_takes_it(tmp_path):
    np.savez(tmp_path / "a.npz", left=grey(300, 8, 8), right=grey(300, 8, 8))

    with pytest.raises(BadData, match=r'data\.array: .* Here: --set "data\.KEY=VALUE"\.$') as error:
        spec_for(tmp_path / "a.npz", tmp_path)

    assert len(str(error.value).splitlines()) <= 3
    assert spec_for(tmp_path / "a.npz", tmp_path, "data.array=right").data.array == "right"


def test_a_source_with_many_validation_images_of_its_own_keeps_them_all(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10_002 + 300, 4, 4), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images[10_002:], val_images=images[:10_002])

    spec = spec_for(tmp_path / "a.npz", tmp_path)

    estimate = sweeps.estimate(spec, store=LocalStore(tmp_path / "store"), cache=tmp_path / "cache")
    assert spec.data.validation is None
    assert estimate.images.parts["select"] + estimate.images.parts["judge"] == 10_002


def test_many_validation_images_that_are_drawn_are_cut_to_what_is_enough(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (72_000, 4, 4), np.uint8))

    assert spec_for(tmp_path / "a.npy", tmp_path).data.validation == 10_000


def test_nothing_is_written_into_a_store(tmp_path):
    spec_for("digits", tmp_path)

    assert not (tmp_path / "store").exists()
    assert parse_spec((tmp_path / "first.yaml").read_text(), base=tmp_path).name == "first"
