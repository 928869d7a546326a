"""Random damage to containers: whatever a file holds, it is read or refused in a few lines, and nothing is raised."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.people_files import arrays, pictures, tables
from tests.support.people_files.drawings import drawings, encoded
from vae_search.data.formats.any_path import read_path
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.roles import role_within
from vae_search.errors import BadData

GREY, COLOUR = drawings(70, 8, 8), drawings(70, 8, 8, 3)
HELD_BYTES = 2**30


def archive(name: str, folder: Path) -> Path:
    return pictures.archive(folder / name, pictures.pictures(GREY))


def csv(folder: Path) -> Path:
    np.savetxt(folder / "a.csv", GREY.reshape(70, -1), fmt="%d", delimiter=",")
    return folder / "a.csv"


def records(folder: Path) -> Path:
    return tables.tfrecords(folder / "a.tfrecord", [tables.example({"image": encoded(image)}) for image in GREY])


MADE: dict[str, Callable[[Path], Path]] = {
    "hdf5": partial(arrays.hdf5, images=COLOUR),
    "matlab 7.3": partial(arrays.matlab_73, X=np.moveaxis(COLOUR, 0, -1)),
    "zip": partial(archive, "a.zip"),
    "tar": partial(archive, "a.tar"),
    "tar.gz": partial(archive, "a.tar.gz"),
    "csv": csv,
    "tfrecord": records,
    "nested": lambda folder: tables.parquet(folder, image=tables.nested(COLOUR)),
    "tensors": lambda folder: tables.parquet(folder, image=tables.tensors(COLOUR)),
    "npz": lambda folder: arrays.unnamed(folder, GREY),
}


@pytest.mark.parametrize("kind", MADE)
def test_files_with_random_damage_are_read_or_refused(tmp_path, kind):
    path = MADE[kind](tmp_path)
    intact = path.read_bytes()
    rng = random.Random(11)
    refusals: list[str] = []

    for _ in range(40):
        content = bytearray(intact)
        for _ in range(rng.choice([1, 3, 10])):
            near = rng.randrange(min(700, len(content)))
            content[rng.choice([near, -1 - near, rng.randrange(len(content))])] = rng.randrange(256)
        path.write_bytes(content[: rng.randrange(len(content))] if rng.random() < 0.15 else content)
        try:
            read_path(path, held_bytes=HELD_BYTES)
        except BadData as error:
            refusals.append(str(error))

    assert len(refusals) > 5
    assert all(len(refusal.splitlines()) <= 3 for refusal in refusals)


@pytest.mark.slow
def test_matlab_files_with_random_damage_end_nothing_but_their_reader(tmp_path):
    path = arrays.matlab(tmp_path, X=np.moveaxis(COLOUR, 0, -1), y=np.ones((70, 1)))
    intact = path.read_bytes()
    rng = random.Random(3)
    refusals: list[str] = []
    for number in range(6):
        content = bytearray(intact)
        content[128 + rng.randrange(60)] = rng.randrange(256)
        path.write_bytes(content if number else intact[:-40])

        try:
            read_path(path, held_bytes=HELD_BYTES)
        except BadData as error:
            refusals.append(str(error))

    assert refusals  # of the file that is cut, at least
    assert all(len(refusal.splitlines()) <= 3 for refusal in refusals)


def test_a_damaged_member_of_an_archive_is_a_damaged_picture(tmp_path):
    path = archive("a.zip", tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(BadData, match=r"images/0000.png: must be a picture"):
        read_path(path, held_bytes=HELD_BYTES)
    assert read_path(path, Choices(skip_damaged=True), held_bytes=HELD_BYTES).train.shape[0] == 69


def test_an_archive_with_a_password_is_refused(tmp_path):
    path = archive("a.zip", tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(BadData, match="without a password"):
        read_path(path, held_bytes=HELD_BYTES)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("train_images", "train"),
        ("xTest", "test"),
        ("kmnist-val-imgs", "validation"),
        ("testdata", "test"),
        ("images", None),
        ("train_and_test", None),
        ("contest", None),
    ],
)
def test_names_of_arrays_and_files_say_their_part_in_a_word(name, role):
    assert role_within(name) == role
