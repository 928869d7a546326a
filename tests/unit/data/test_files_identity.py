"""Identity of files: whatever of them has changed, the images are decoded anew."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import grey, idx_bytes
from vae_search.data.random_access.identity import files_identity
from vae_search.data.sources import read_source


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two classes, one of them a link to a folder elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").write_bytes(b"a")
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    (tmp_path / "pictures" / "cats" / "b.png").write_bytes(b"b")
    (tmp_path / "pictures" / "dogs").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "pictures"


@pytest.mark.parametrize("changed", ["cats/b.png", "dogs/a.png"])
def test_a_picture_that_changes_changes_it_behind_a_link_as_well(pictures: Path, changed: str) -> None:
    before = files_identity(pictures)

    os.utime(pictures / changed, ns=(1, 1))

    assert files_identity(pictures) != before


def test_links_in_a_circle_come_to_an_end(pictures: Path) -> None:
    before = files_identity(pictures)

    (pictures / "cats" / "round").symlink_to(pictures)

    assert files_identity(pictures) == before


def test_a_changed_file_of_test_images_beside_those_to_train_on_is_seen_by_the_cache(tmp_path: Path) -> None:
    train, test = (tmp_path / f"letters-{part}-images-idx3-ubyte" for part in ("train", "test"))
    train.write_bytes(idx_bytes(grey()))
    test.write_bytes(idx_bytes(grey(50)))
    first = read_source(str(train), cache=tmp_path / "cache", held_bytes=0)
    test.write_bytes(idx_bytes(255 - grey(50)))

    again = read_source(str(train), cache=tmp_path / "cache", held_bytes=0)

    assert first.test is not None
    assert again.test is not None
    np.testing.assert_array_equal(again.test.pixels[:], 255 - first.test.pixels[:])
