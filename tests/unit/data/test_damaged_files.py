"""Odd names and random damage: whatever a file holds, it is read or refused in a few lines."""

import contextlib
import random
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from tests.support.pictures import grey, png_bytes, write_folder, write_parquet
from vae_search.data.sources import read_source
from vae_search.errors import BadData


@pytest.mark.parametrize("name", ["a\n\n\n\nb", "a\n\n\n\nb.npy", "a\n\n\n\nb.npz", "a\n\n\n\nb.parquet"])
def test_a_newline_in_a_path_does_not_lengthen_the_message(tmp_path, name):
    (tmp_path / f"x{name}").write_bytes(b"hello")

    for path in (tmp_path / name, tmp_path / f"x{name}"):
        with pytest.raises(BadData) as error:
            read_source(str(path), cache=tmp_path)

        assert len(str(error.value).splitlines()) <= 3
        assert "a\\n\\n" in str(error.value)


def test_a_path_with_a_null_character_is_refused(tmp_path):
    with pytest.raises(BadData, match="null character"):
        read_source(str(tmp_path / "a\0b"), cache=tmp_path)


def test_a_newline_in_a_picture_or_key_does_not_lengthen_the_message(tmp_path):
    pictures = write_folder(tmp_path / "p", grey())
    (pictures / "0000\n\n\n\n.png").write_bytes(b"hello")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x\n\n\n\n.npy", b"")

    for path in (pictures, tmp_path / "a.npz"):
        with pytest.raises(BadData) as error:
            read_source(str(path), cache=tmp_path)

        assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "encoded.parquet", "lists.parquet"])
def test_files_with_random_damage_are_read_or_refused(tmp_path, name):
    square = grey(40, 6, 6)
    np.save(tmp_path / "a.npy", square)
    np.savez_compressed(tmp_path / "a.npz", x_train=square)
    write_parquet(tmp_path / "encoded.parquet", image=[png_bytes(image) for image in square])
    write_parquet(tmp_path / "lists.parquet", image=pa.array([image.ravel().tolist() for image in square]))
    intact = (tmp_path / name).read_bytes()
    rng = random.Random(5)
    refused = 0

    for _ in range(150):
        content = bytearray(intact)
        for _ in range(rng.choice([1, 3])):
            # The headers: the first bytes of .npy, and the last ones of the others.
            position = rng.randrange(128) if name == "a.npy" else -1 - rng.randrange(400)
            content[position] = rng.randrange(256)
        (tmp_path / name).write_bytes(content)
        with contextlib.suppress(BadData):
            read_source(str(tmp_path / name), cache=tmp_path)
            refused -= 1
        refused += 1

    assert refused > 20
