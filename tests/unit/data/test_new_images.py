"""Images to score a finished model on: all of them, unless the source says which are its test images."""

import numpy as np
import pytest

from tests.support.pictures import grey
from vae_search.data.binarization import draw_evaluation_sets
from vae_search.data.dataset import load_dataset, load_new_images
from vae_search.data.image_checks import Images
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec


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
