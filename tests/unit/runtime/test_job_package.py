"""What a job takes along comes out as it was put in."""

import json
from pathlib import Path

import pytest

from tests.support.sweeps import SPEC, small_spec
from vae_search.errors import BadData, CorruptStore
from vae_search.runtime.cluster import job_package
from vae_search.runtime.cluster.job_package import JobPackage
from vae_search.services.datasets import source_of
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


def test_images_arrive_as_they_were_named_without_what_is_hidden(folder, tmp_path):
    pictures = tmp_path / "my pictures"
    for name in ("train/a/1.png", "train/b/1.png", ".gitignore", "train/.cache/2.png"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(name.encode())
    payload(pictures).write(folder)

    images = JobPackage.read(folder, store="s3://bucket/x").images

    assert images.name == "my pictures"
    assert source_of(images) == source_of(pictures)
    assert [path.name for path in sorted(images.rglob("*"))] == ["train", "a", "1.png", "b", "1.png"]


def test_a_single_file_arrives_too(folder, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"images")
    payload(tmp_path / "x.npz").write(folder)

    assert JobPackage.read(folder, store="s3://bucket/x").images.read_bytes() == b"images"


def test_more_than_ray_takes_is_refused_before_it_is_copied(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(job_package, "MOST_BYTES", 2**20)
    (tmp_path / "x.npz").write_bytes(bytes(2**20 + 1))

    with pytest.raises(BadData, match="takes at most 1 MiB"):
        payload(tmp_path / "x.npz").write(folder)

    assert not (folder / "images").exists()


def test_images_that_are_not_there_are_named(folder, tmp_path):
    with pytest.raises(BadData, match=r"nowhere\.npz: cannot be read: No such file"):
        payload(tmp_path / "nowhere.npz").write(folder)


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
