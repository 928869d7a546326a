"""Folders of .npy files: classes are put together, views of the same samples are not."""

import numpy as np
import pytest

from tests.support.people_files import arrays
from tests.support.people_files.drawings import drawings
from vae_search.data.formats.choices import Choices
from vae_search.data.sources import read_source
from vae_search.errors import BadData


def folder_of(folder, **counts):
    (folder / "arrays").mkdir()
    for seed, (name, count) in enumerate(counts.items()):
        np.save(folder / "arrays" / f"{name}.npy", drawings(count, seed=seed))
    return folder / "arrays"


@pytest.mark.parametrize(
    "counts",
    [
        {"cats": 120, "dogs": 120},
        {"noisy": 120, "clean": 110},
        {"scene_depth": 90, "scene_image": 90, "scene_normals": 90},
        {"x": 120, "x_noisy": 100},
    ],
)
def test_files_that_may_show_the_same_samples_are_refused_until_one_is_chosen(tmp_path, counts):
    folder = folder_of(tmp_path, **counts)
    first = sorted(counts)[0]

    with pytest.raises(BadData, match=f"data.array: {first}"):
        read_source(str(folder), cache=tmp_path)

    chosen = read_source(str(folder), cache=tmp_path, choices=Choices(array=first))
    assert len(chosen.train) == counts[first]


@pytest.mark.parametrize("counts", [{"a": 90, "b": 90, "c": 90}, {"image_cat": 100, "image_dog": 90}])
def test_files_of_classes_are_put_one_after_another(tmp_path, counts):
    found = read_source(str(folder_of(tmp_path, **counts)), cache=tmp_path)

    assert len(found.train) == sum(counts.values())


def test_a_matlab_file_of_bytes_needs_a_byte_for_each_pixel(tmp_path, monkeypatch):
    from vae_search.data import image_checks

    path = arrays.matlab(tmp_path, X=np.moveaxis(drawings(200), 0, -1))
    monkeypatch.setattr(image_checks, "decoded_limit_bytes", lambda: 2 * 200 * 28 * 28)

    assert len(read_source(str(path), cache=tmp_path).train) == 200
