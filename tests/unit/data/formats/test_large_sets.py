"""Pictures and arrays that do not fit in memory: read in ranges, to the same images as in memory."""

from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest

from tests.support.people_files import arrays, pictures, tables
from tests.support.people_files.drawings import drawings, encoded
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.random_access.mapped_images import MappedImages
from vae_search.data.sources import Source, read_source
from vae_search.errors import BadData
from vae_search.spec.sections import Resize


def large(source: Path, folder: Path, choices: Choices = NONE) -> Source:
    return read_source(str(source), cache=folder / "cache", choices=choices, held_bytes=1000)


def parquet(folder: Path) -> Path:
    return tables.parquet(folder, image=[encoded(image) for image in drawings(200, 24, 24)])


KINDS = {
    "parts": (partial(pictures.parted, names=("train", "val", "test")), NONE),
    "grey and colour": (partial(pictures.moded, kind="greymix"), NONE),
    "16 bits": (partial(pictures.moded, kind="jfif"), NONE),
    "turned": (pictures.turned, NONE),
    "transparent": (partial(pictures.transparent, mode="palette"), NONE),
    "resized": (pictures.mixed_sizes, Choices(resize=Resize(height=32, width=48))),
    "damaged": (pictures.damaged, Choices(skip_damaged=True)),
    "zip": (pictures.parted_zip, NONE),
    "parquet": (parquet, NONE),
    "shards": (tables.hub_folder, NONE),
    "hdf5": (partial(arrays.hdf5, images=drawings(200, 16, 16, 3)), NONE),
    "hdf5, channels first": (partial(arrays.hdf5, images=np.moveaxis(drawings(200, 16, 16, 3), -1, 1)), NONE),
    "matlab 7.3": (partial(arrays.matlab_73, X=np.moveaxis(drawings(200, 16, 16, 3), 0, -1)), NONE),
    "matlab 7.3, grey": (partial(arrays.matlab_73, X=np.moveaxis(drawings(200, 16, 12), 0, -1)), NONE),
    "matlab 7.3, flat in columns": (partial(arrays.matlab_73, X=drawings(200).reshape(200, -1).T), NONE),
    "matlab 7.3, flat in rows": (partial(arrays.matlab_73, X=drawings(200).reshape(200, -1)), NONE),
    "matlab 7.3, counted first": (partial(arrays.matlab_73, X=drawings(200, 16, 12)), NONE),
    "matlab 7.3, as many rows": (partial(arrays.matlab_73, X=np.moveaxis(drawings(200, 64, 64), 0, -1)), NONE),
    "matlab 7.3, planes": (partial(arrays.matlab_73, X=drawings(200, 16, 12, 3).transpose(3, 1, 2, 0)), NONE),
    "matlab 7.3, channels first": (partial(arrays.matlab_73, X=drawings(200, 16, 12, 3).transpose(0, 3, 1, 2)), NONE),
    "matlab 7.3, colours first": (partial(arrays.matlab_73, X=drawings(200, 16, 12, 3)), NONE),
    "hdf5, flat": (partial(arrays.hdf5, images=drawings(200).reshape(200, -1)), NONE),
    "hdf5, counted last": (partial(arrays.hdf5, images=np.moveaxis(drawings(200), 0, -1)), NONE),
    "hdf5, colours counted last": (partial(arrays.hdf5, images=np.moveaxis(drawings(200, 16, 12, 3), 0, -1)), NONE),
    "hdf5, planes": (partial(arrays.hdf5, images=drawings(200, 16, 12, 3).transpose(3, 1, 2, 0)), NONE),
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_the_same_whether_they_fit_in_memory_or_not(tmp_path, kind):
    make, choices = KINDS[kind]
    path = make(tmp_path)

    in_memory, in_files = read_source(str(path), cache=tmp_path, choices=choices), large(path, tmp_path, choices)

    assert isinstance(in_files.train.pixels, MappedImages)
    assert (in_files.protocol, in_files.train.scale) == (in_memory.protocol, in_memory.train.scale)
    for one, other in ((in_memory.train, in_files.train), (in_memory.test, in_files.test)):
        if one is not None:
            np.testing.assert_array_equal(other.pixels[0 : len(other)], one.pixels)
    assert in_files.notes == in_memory.notes


def test_parts_of_which_one_fits_in_memory_have_their_axes_in_one_order(tmp_path):
    flat = drawings(300).reshape(300, -1).T
    path = arrays.matlab_73(tmp_path, train_x=flat[:, :200], test_x=flat[:, 200:])

    found = read_source(str(path), cache=tmp_path, held_bytes=100_000)

    assert isinstance(found.train.pixels, MappedImages)
    in_memory = read_source(str(path), cache=tmp_path)
    np.testing.assert_array_equal(found.train.pixels[0:200], in_memory.train.pixels)
    np.testing.assert_array_equal(found.test.pixels[0:100], in_memory.test.pixels)


def test_all_damaged_pictures_are_named_although_they_are_decoded_in_ranges(tmp_path):
    folder = pictures.damaged(tmp_path)
    for number in (3, 4):
        file = folder / "b" / f"{150 + number:04}.png"
        file.write_bytes(file.read_bytes()[:-30])

    with pytest.raises(BadData, match=r"5 of 203 pictures cannot be decoded: a/x00.png, .*, b/0154.png"):
        large(folder, tmp_path)


def test_only_damage_behind_headers_is_named_too(tmp_path):
    pictures.classes(tmp_path / "p", drawings())
    for number in (3, 4):
        file = tmp_path / "p" / "a" / f"{number:04}.png"
        file.write_bytes(file.read_bytes()[:-30])

    with pytest.raises(BadData, match=r"2 of 200 pictures cannot be decoded: a/0003.png, a/0004.png"):
        large(tmp_path / "p", tmp_path)


def test_hdf5_that_has_changed_its_file_is_read_anew(tmp_path):
    path = arrays.hdf5(tmp_path, images=drawings(200, 16, 16, 3))
    large(path, tmp_path)
    with h5py.File(path, "r+") as file:
        file["images"][0] = 7

    assert (large(path, tmp_path).train.pixels[0:1] == 7).all()


def test_lists_of_numbers_are_refused_where_they_do_not_fit(tmp_path, monkeypatch):
    from vae_search.data import image_checks

    monkeypatch.setattr(image_checks, "usable_memory_bytes", lambda: 4000)
    path = tables.parquet(tmp_path, image=pa.array([image.ravel().tolist() for image in drawings()]))

    with pytest.raises(BadData, match="must fit in"):
        large(path, tmp_path)


@pytest.mark.parametrize("held_bytes", [1000, 2**30])
def test_matlabs_files_in_a_folder_have_their_axes_put_in_order_as_one_alone(tmp_path, held_bytes):
    images = drawings(300)
    for name, part in (("train", images[:200]), ("test", images[200:])):
        (tmp_path / "parts").mkdir(exist_ok=True)
        arrays.matlab_73(tmp_path, X=part.reshape(len(part), -1).T).rename(tmp_path / "parts" / f"{name}.mat")

    found = read_source(str(tmp_path / "parts"), cache=tmp_path, held_bytes=held_bytes)

    np.testing.assert_array_equal(found.train.pixels[0:200], images[:200].swapaxes(1, 2)[..., None])
    np.testing.assert_array_equal(found.test.pixels[0:100], images[200:].swapaxes(1, 2)[..., None])
