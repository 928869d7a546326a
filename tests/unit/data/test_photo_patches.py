"""Patches of photographs: which pixels go where is checked on photographs whose pixels say where they are."""

import numpy as np
import pytest
from sklearn import datasets
from sklearn.utils import Bunch

from vae_search.data.dataset import load_dataset
from vae_search.data.formats.published.photo_patches import VALIDATION_COUNT, read_photo_patches
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec


@pytest.fixture
def places(monkeypatch) -> None:
    """Two photographs with a pixel of (row, column, photograph); more than a byte holds, as nothing here minds."""
    rows, columns = np.mgrid[:427, :640]
    photographs = [np.stack([rows, columns, np.full_like(rows, number)], axis=-1) for number in (0, 1)]
    monkeypatch.setattr(datasets, "load_sample_images", lambda: Bunch(images=photographs))


def covered(patches: np.ndarray) -> np.ndarray:
    """How often each pixel is in the patches: (photograph, row, column)."""
    counts = np.zeros((2, 427, 640), np.int64)
    row, column, photograph = np.moveaxis(patches.reshape(-1, 3), 1, 0)
    np.add.at(counts, (photograph, row, column), 1)
    return counts


def parts() -> dict[str, np.ndarray]:
    images, test = read_photo_patches()
    train, validation = images[:-VALIDATION_COUNT], images[-VALIDATION_COUNT:]
    return {"train": train, "select": validation[:200], "judge": validation[200:], "test": test}


@pytest.mark.usefixtures("places")
def test_a_patch_is_a_square_of_a_photograph():
    for patches in parts().values():
        offsets = patches - patches[:, :1, :1]
        np.testing.assert_array_equal(offsets[..., 0], np.broadcast_to(np.arange(16)[:, None], (len(patches), 16, 16)))
        np.testing.assert_array_equal(offsets[..., 1], np.broadcast_to(np.arange(16), (len(patches), 16, 16)))
        assert not offsets[..., 2].any()


@pytest.mark.usefixtures("places")
def test_no_held_out_pixel_is_within_eight_of_a_training_pixel_and_none_is_held_out_twice():
    found = {name: covered(patches) for name, patches in parts().items()}
    near_train = np.zeros((2, 427 + 16, 640 + 16), bool)
    for down in range(17):
        for right in range(17):
            near_train[:, down : down + 427, right : right + 640] |= found["train"] > 0

    held_out = found["select"] + found["judge"] + found["test"]

    assert held_out.max() == 1
    assert not (near_train[:, 8:-8, 8:-8] & (held_out > 0)).any()


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("part", ["select", "judge", "test"])
def test_the_first_held_out_patches_are_of_as_many_blocks(part):
    blocks = {(top // 80, left // 80, photograph) for top, left, photograph in parts()[part][:8, 0, 0].tolist()}

    assert len(blocks) == 8


@pytest.mark.usefixtures("places")
def test_every_part_has_as_much_of_both_photographs_and_a_share_of_every_column():
    for name, patches in parts().items():
        counts = covered(patches)
        blocks = (counts[:, :400].reshape(2, 5, 80, 8, 80) > 0).any(axis=(2, 4))

        per_column = {"train": 3, "select": 0.5, "judge": 0.5, "test": 1}[name]
        assert (blocks[0] == blocks[1]).all()
        assert blocks.sum() == 2 * 8 * per_column
        assert blocks.sum(axis=1).max() <= max(1, per_column)


def test_what_trials_are_chosen_by_is_like_what_they_are_judged_by():
    def seen(patches: np.ndarray) -> np.ndarray:
        """Mean colour and mean step from a pixel to the next."""
        grey = patches.astype(np.float64)
        steps = [np.abs(np.diff(grey, axis=axis)).mean() for axis in (1, 2)]
        return np.array([*grey.mean(axis=(0, 1, 2)), np.mean(steps)])

    found = parts()

    np.testing.assert_allclose(seen(found["select"]), seen(found["judge"]), rtol=0.12)


def test_the_patches_are_those_of_scikit_learns_photographs(tmp_path):
    dataset = load_dataset(DataSpec(source="photo_patches"), cache=tmp_path)
    first = datasets.load_sample_images().images[0]

    assert [len(part) for part in (dataset.train, dataset.select, dataset.judge, dataset.test)] == [3888, 200, 200, 400]
    assert dataset.image_shape == (16, 16, 3)
    np.testing.assert_array_equal(dataset.train[0], first[8:24, 8:24])
    np.testing.assert_array_equal(dataset.train[1], first[8:24, 14:30])


@pytest.mark.parametrize("count", [399, 401, 0.2])
def test_another_count_of_validation_would_share_pixels_with_training_and_is_refused(tmp_path, count):
    with pytest.raises(BadData, match="must be left out, because 400 images") as error:
        load_dataset(DataSpec(source="photo_patches", validation=count), cache=tmp_path)

    assert len(str(error.value).splitlines()) <= 3
