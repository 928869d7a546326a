"""Pictures that do not fit in memory: a folder of them is the same data set, decoded once."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.pictures import colour, grey, png_bytes, write_folder
from tests.unit.data.test_mapped_images import assert_same
from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.formats.pictures import decoding
from vae_search.data.random_access.mapped_images import MappedImages
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec


def plain(folder: Path) -> Path:
    return write_folder(folder, colour(120))


def classes(folder: Path) -> Path:
    for part, count in (("train", 60), ("val", 40), ("test", 20)):
        for number in range(2):
            write_folder(folder / part / f"class_{number}", grey(count)[number::2])
    return folder


def mixed(folder: Path) -> Path:
    """Grey pictures before coloured ones, and a part that is grey alone."""
    write_folder(folder / "train" / "a", grey(50))
    write_folder(folder / "train" / "b", colour(50))
    write_folder(folder / "test", grey(20))
    return folder


def transparent(folder: Path) -> Path:
    folder.mkdir()
    for number, image in enumerate(grey(120)):
        black = np.zeros((6, 5), np.uint8)
        Image.merge("LA", [Image.fromarray(black), Image.fromarray(image)]).save(folder / f"{number:03d}.png")
    return folder


def damaged(folder: Path) -> Path:
    write_folder(folder, grey(120))
    for name in ("0000.png", "0077.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:40])
    return folder


def parquet(folder: Path) -> Path:
    folder.mkdir()
    images = [{"bytes": png_bytes(image), "path": f"{number}.png"} for number, image in enumerate(colour(120))]
    pq.write_table(pa.table({"image": images, "label": [number % 3 for number in range(120)]}), folder / "x.parquet")
    return folder / "x.parquet"


def load(place: Path, folder: Path, *, held_bytes: int | None) -> Dataset:
    spec = DataSpec.model_validate({"source": str(place), "skip_damaged": place.name == "damaged"})
    return load_dataset(spec, cache=folder / "cache", held_bytes=held_bytes)


@pytest.mark.parametrize("make", [plain, classes, mixed, transparent, damaged, parquet])
def test_pictures_in_files_are_the_data_set_that_they_are_in_memory_and_are_decoded_once(make, tmp_path, monkeypatch):
    place = make(tmp_path / make.__name__)
    in_memory = load(place, tmp_path, held_bytes=None)

    in_files = load(place, tmp_path, held_bytes=1000)

    monkeypatch.setattr(decoding, "decode_set", None)
    again = load(place, tmp_path, held_bytes=1000)
    for found in (in_files, again):
        assert isinstance(found.train, MappedImages)
        assert_same(in_memory, found)
        np.testing.assert_array_equal(found.train_labels, in_memory.train_labels)


def test_pictures_whose_files_in_the_cache_are_gone_are_decoded_again(tmp_path):
    place = classes(tmp_path / "classes")
    before = load(place, tmp_path, held_bytes=1000)
    for folder in (tmp_path / "cache/images").iterdir():
        if folder.is_dir() and not folder.name.startswith("found-"):
            shutil.rmtree(folder)

    again = load(place, tmp_path, held_bytes=1000)

    assert_same(before, again)


def test_a_folder_that_has_got_another_picture_is_decoded_anew(tmp_path):
    place = plain(tmp_path / "plain")
    before = load(place, tmp_path, held_bytes=1000)
    (place / "zzz.png").write_bytes(png_bytes(colour(121)[-1]))

    after = load(place, tmp_path, held_bytes=1000)

    assert (before.summary.images, after.summary.images) == (120, 121)


def test_the_disk_is_asked_before_pictures_are_decoded(tmp_path, monkeypatch):
    place = plain(tmp_path / "plain")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1, 1, 2**28))

    with pytest.raises(BadData, match=r"plain: 0000\.png: decoded images that do not fit in memory are kept in"):
        load(place, tmp_path, held_bytes=1000)
