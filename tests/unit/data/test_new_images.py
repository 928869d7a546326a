"""Images to score a finished model on: all of them, unless the source says which are its test images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import grey
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.data import image_checks
from vae_search.data.binarization import draw_evaluation_sets
from vae_search.data.dataset import load_dataset, load_new_images
from vae_search.data.formats.choices import Choices
from vae_search.data.image_checks import Images
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec, Resize


@pytest.mark.parametrize("count", [300, 100, 20, 2])
@pytest.mark.parametrize("binarize", ["dynamic", "threshold", "none"])
def test_all_new_images_are_scored_however_few_they_are(tmp_path, count, binarize):
    np.save(tmp_path / "new.npy", grey(count))

    found = load_new_images(str(tmp_path / "new.npy"), binarize=binarize, cache=tmp_path)
    images, pixels = found.pixels, found.statistics

    assert images.shape == (count, 6, 5, 1)
    assert pixels.levels == (256 if binarize == "none" else 2)


def test_new_images_are_drawn_as_held_out_ones_are(tmp_path):
    np.save(tmp_path / "new.npy", grey())
    source = Images(pixels=grey()[..., None], scale=255.0)

    images = load_new_images(str(tmp_path / "new.npy"), binarize="dynamic", cache=tmp_path).pixels

    np.testing.assert_array_equal(images, draw_evaluation_sets(source, source)[0])


@pytest.mark.parametrize(("train", "test"), [(300, 40), (20, 40), (300, 5)])
def test_of_a_source_with_test_images_these_are_scored(tmp_path, train, test):
    np.savez(tmp_path / "a.npz", x_train=grey(train), x_test=grey(test)[::-1])

    images = load_new_images(str(tmp_path / "a.npz"), binarize="none", cache=tmp_path).pixels

    np.testing.assert_array_equal(images[..., 0], grey(test)[::-1])


def test_of_a_data_set_by_name_the_protocols_test_images_are_scored(tmp_path):
    images = load_new_images("digits", binarize="dynamic", cache=tmp_path).pixels

    np.testing.assert_array_equal(images, load_dataset(DataSpec(source="digits"), cache=tmp_path).test)


@pytest.mark.parametrize(
    ("images", "kind", "follow"),
    [
        (grey() > 127, "black and white", lambda a: a.astype(np.uint8) * 255),
        (np.sqrt(grey() / 255), "floats in between", lambda a: (a * 255).astype(np.uint8)),
    ],
    ids=["masks", "floats"],
)
def test_a_model_of_grey_levels_is_given_bytes_as_the_refusal_says(tmp_path, images, kind, follow):
    np.save(tmp_path / "new.npy", images)
    with pytest.raises(BadData, match=f"these pixels are {kind}") as error:
        load_new_images(str(tmp_path / "new.npy"), binarize="none", cache=tmp_path)
    assert "data." not in str(error.value)

    np.save(tmp_path / "new.npy", follow(images))

    assert load_new_images(str(tmp_path / "new.npy"), binarize="none", cache=tmp_path).statistics.levels == 256


def test_one_image_is_refused_without_advice_on_keys_of_a_spec(tmp_path):
    np.save(tmp_path / "new.npy", grey(1))

    with pytest.raises(BadData, match="at least 2 images") as error:
        load_new_images(str(tmp_path / "new.npy"), binarize="dynamic", cache=tmp_path)

    assert "data." not in str(error.value)


def read_like(trained: np.ndarray, new: np.ndarray, folder: Path) -> np.ndarray:
    """Intensities in 0 … 255 of images that are read for a model of others."""
    np.save(folder / "train.npy", trained)
    np.save(folder / "new.npy", new)
    spec = DataSpec(source=str(folder / "train.npy"), binarize="none")
    kept = DatasetSummary.from_json(load_dataset(spec, cache=folder).summary.to_json())
    choices = Choices.of_new_images(spec, scaling=kept.scaling)
    return load_new_images(str(folder / "new.npy"), binarize="none", cache=folder, choices=choices).pixels[..., 0]


@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("brightest", [255, 90])
def test_dark_images_of_many_bits_are_read_with_the_depth_of_the_models_images(tmp_path, bits, brightest):
    trained, dark = (grey(count).astype(np.uint16) << (bits - 8) for count in (100, 50))
    dark = np.minimum(dark, brightest << (bits - 8))

    np.testing.assert_array_equal(read_like(trained, dark, tmp_path), dark >> (bits - 8))


def test_images_of_more_bits_than_the_models_are_refused_with_what_mends_it(tmp_path):
    trained, new = grey().astype(np.uint16) << 4, grey(50).astype(np.uint16) << 8
    with pytest.raises(BadData, match="the model's images have 12 bits, white being 4,095, but these reach 65,"):
        read_like(trained, new, tmp_path)

    assert read_like(trained, (new >> 8) / 255, tmp_path).max() == 255


def test_floats_that_reach_no_ends_are_scaled_as_the_models_images(tmp_path):
    some = np.clip(grey(50), 30, 120)

    np.testing.assert_array_equal(read_like(grey() / 127.5 - 1, some / 127.5 - 1, tmp_path), some)
    np.testing.assert_array_equal(read_like(grey().astype(float), some.astype(float), tmp_path), some)


def test_floats_that_may_be_in_either_of_two_ranges_are_refused_with_what_mends_it(tmp_path):
    trained, new = grey() / 127.5 - 1, grey(50)
    with pytest.raises(BadData, match=r"may be in \[-1, 1\] or \[0, 1\].\nSave them as uint8"):
        read_like(trained, new / 255, tmp_path)

    np.testing.assert_array_equal(read_like(trained, new, tmp_path), new)


def test_images_that_do_not_fit_in_memory_are_scaled_as_the_models_or_refused(tmp_path, monkeypatch):
    trained, dark = grey().astype(np.uint16) << 4, np.minimum(grey(50), 64).astype(np.uint16) << 4
    monkeypatch.setattr(image_checks, "MAX_BYTES", 2000)
    np.save(tmp_path / "new.npy", dark)
    choices = Choices(scaling="12 bits")
    resized = replace(choices, resize=Resize(height=4, width=4, fit="crop"))

    found = load_new_images(str(tmp_path / "new.npy"), binarize="none", cache=tmp_path, choices=choices)
    np.testing.assert_array_equal(found.pixels[:][..., 0], dark >> 4)
    with pytest.raises(BadData, match=r"have 12 bits, and .*\nSave these as uint8"):
        load_new_images(str(tmp_path / "new.npy"), binarize="none", cache=tmp_path, choices=resized)

    np.save(tmp_path / "new.npy", (trained >> 4).astype(np.uint8))
    found = load_new_images(str(tmp_path / "new.npy"), binarize="none", cache=tmp_path, choices=choices)
    np.testing.assert_array_equal(found.pixels[:][..., 0], grey())
