"""What a job takes along comes out as it was put in."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.sweeps import SPEC, small_spec
from vae_search.errors import BadData, CorruptStore
from vae_search.runtime.cluster import job_package
from vae_search.runtime.cluster.job_package import JobPackage, image_parts, unpack_images
from vae_search.services.images.sent_images import source_of
from vae_search.spec.sweep_spec import SweepSpec

pytestmark = pytest.mark.needs_tensorflow


def payload(images: Path | None = None, *overrides: str) -> JobPackage:
    return JobPackage(spec=small_spec(*overrides), text=SPEC, store="s3://bucket/x", images=images)


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "job"
    place.mkdir()
    return place


def test_a_spec_arrives_with_its_text_and_every_default(folder):
    sent = payload()
    sent.write(folder)

    assert JobPackage.read(folder, store=sent.store) == sent
    assert (folder / "spec.yaml").read_text() == SPEC
    assert SweepSpec.from_json(json.loads((folder / "resolved.json").read_text())) == sent.spec


def test_the_names_of_sent_images_travel_and_the_images_do_not(folder, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"images")
    replace(payload(tmp_path / "x.npz"), parts=("gcs://a.zip", "gcs://b.zip")).write(folder)

    assert JobPackage.read(folder, store="s3://bucket/x").parts == ("gcs://a.zip", "gcs://b.zip")
    assert b"images" not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.name != "images.json")


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder with two pictures, and with what is hidden."""
    place = tmp_path / "my pictures"
    for name in ("train/a/1.png", "train/b/1.png", ".gitignore", "train/.cache/2.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(name.encode())
    return place


def test_images_arrive_as_they_were_named_without_what_is_hidden(folder, pictures, monkeypatch):
    monkeypatch.setattr(job_package, "PART_BYTES", 1000)
    parts = [*image_parts(pictures)]

    images = unpack_images(parts, folder)

    assert len(parts) > 1
    assert max(map(len, parts)) == 1000
    assert images == folder / "my pictures"
    assert source_of(images) == source_of(pictures)
    assert [path.name for path in sorted(images.rglob("*"))] == ["train", "a", "1.png", "b", "1.png"]


def test_a_single_file_arrives_too(folder, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"images")

    assert unpack_images(image_parts(tmp_path / "x.npz"), folder).read_bytes() == b"images"


def test_more_than_the_head_takes_is_refused_before_it_is_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(job_package, "MOST_BYTES", 2**20)
    (tmp_path / "x.npz").write_bytes(bytes(2**20 + 1))

    with pytest.raises(BadData, match="takes at most 1 MiB"):
        next(image_parts(tmp_path / "x.npz"))


def test_images_that_are_not_there_are_named(tmp_path):
    with pytest.raises(BadData, match=r"nowhere\.npz: cannot be read: No such file"):
        next(image_parts(tmp_path / "nowhere.npz"))


@pytest.mark.parametrize("target", ["../private.png", "train/a", "nowhere.png", "."])
def test_a_link_out_of_the_folder_is_refused_by_name(pictures, tmp_path, target):
    (tmp_path / "private.png").write_bytes(b"private")
    (pictures / "x.png").symlink_to(target)

    for call in (source_of, lambda place: next(image_parts(place))):
        with pytest.raises(BadData, match=r"my pictures/x\.png: is a symbolic link"):
            call(pictures)


def test_a_link_within_the_folder_is_sent_as_its_file(folder, pictures):
    (pictures / "train/b/2.png").symlink_to("../a/1.png")
    (pictures / ".hidden.png").symlink_to("/etc/passwd")

    images = unpack_images(image_parts(pictures), folder)

    assert (images / "train/b/2.png").read_bytes() == b"train/a/1.png"
    assert not (images / "train/b/2.png").is_symlink()
    assert source_of(images) == source_of(pictures)


def test_a_folder_that_is_a_link_itself_is_what_its_user_names(tmp_path, pictures, folder):
    (tmp_path / "link").symlink_to(pictures)

    assert unpack_images(image_parts(tmp_path / "link"), folder).name == "link"


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "a//b"])
def test_an_archive_that_leads_out_is_not_unpacked(folder, name):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))

    with pytest.raises(BadData, match="no file of images"):
        unpack_images([stream.getvalue()], folder)


@pytest.mark.parametrize("kept", [0, 100, 700])
def test_an_archive_that_has_not_arrived_whole_is_refused(folder, pictures, kept):
    (part,) = image_parts(pictures)

    with pytest.raises(BadData, match="not arrived whole"):
        unpack_images([part[:kept]], folder)


def test_a_folder_that_holds_no_job_says_who_makes_one(folder):
    (folder / "spec.yaml").write_text(SPEC)
    with pytest.raises(CorruptStore, match="vae-search submit"):
        JobPackage.read(folder, store="s3://bucket/x")

    (folder / "resolved.json").write_text("{")
    with pytest.raises(CorruptStore, match="vae-search submit"):
        JobPackage.read(folder, store="s3://bucket/x")


def test_free_keys_count_for_what_runs_already(tmp_path):
    assert payload().sha256 == payload().sha256
    assert payload().spec.sha256 == payload(None, "keep=1").spec.sha256
    assert payload().sha256 != payload(None, "keep=1").sha256
