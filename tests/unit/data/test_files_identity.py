"""Identity of files: whatever of them has changed, the images are decoded anew."""

import os
from pathlib import Path

import pytest

from vae_search.data.random_access.identity import files_identity


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
