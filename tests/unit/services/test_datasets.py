"""Images that lie far away: named by their content or address, and at hand as what was put there."""

from pathlib import Path

import pytest

from tests.support.s3_server import BUCKET, seen_by_others
from tests.support.web_server import serving
from vae_search.errors import BadData, StoreUnavailable
from vae_search.services.datasets import local_copy, put, source_of
from vae_search.spec.fields import located
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.uri import open_store


def pictures(folder: Path, name: str = "my pictures") -> Path:
    place = folder / name
    for path in ("train/a/1.png", "train/b/1.png"):
        (place / path).parent.mkdir(parents=True)
        (place / path).write_bytes(path.encode())
    return place


def files_in(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def brought(store, source: str, cache: Path) -> Path:
    return Path(local_copy(store, DataSpec(source=source, binarize="threshold"), cache=cache).source)


def test_the_name_of_images_follows_their_content_and_names_and_not_where_they_lie(tmp_path):
    place = pictures(tmp_path)
    source = source_of(place)
    (place / ".DS_Store").write_text("of no interest")

    assert source == source_of(place) == source_of(pictures(tmp_path / "elsewhere"))
    assert located(source, tmp_path) == source  # as a spec may say it
    assert source_of(pictures(tmp_path, "others")) != source
    (place / "train/a/1.png").rename(place / "train/a/2.png")
    assert source_of(place) != source
    (place / "train/a/2.png").rename(place / "train/a/1.png")
    (place / "train/b/1.png").write_bytes(b"changed")
    assert source_of(place) != source


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda place: None, "cannot be read: No such file"),
        (Path.mkdir, "holds no file to send"),
        (lambda place: place.symlink_to(place), "cannot be read: Too many levels of symbolic links"),
    ],
    ids=["nothing", "empty", "a circle"],
)
def test_what_cannot_be_sent_is_named(tmp_path, make, says):
    make(tmp_path / "images")

    with pytest.raises(BadData, match=f"images: {says}"):
        source_of(tmp_path / "images")


def test_what_is_hidden_itself_cannot_be_kept(tmp_path):
    with pytest.raises(BadData, match="is hidden"):
        source_of(pictures(tmp_path, ".pictures"))


def test_a_folder_put_into_a_store_on_this_machine_is_read_where_it_lies(store, tmp_path):
    place = pictures(tmp_path)
    (place / ".DS_Store").write_text("of no interest")
    source = source_of(place)

    put(store, source, place)
    put(store, source, place)  # a driver that takes over does so again
    found = local_copy(store, DataSpec(source=source, binarize="threshold", test=2), cache=tmp_path / "cache")

    assert (found.binarize, found.test) == ("threshold", 2)
    assert Path(found.source).is_relative_to(store.location)
    assert files_in(Path(found.source)) == {"train/a/1.png": b"train/a/1.png", "train/b/1.png": b"train/b/1.png"}
    assert not (tmp_path / "cache").exists()


def test_other_images_are_not_put_under_a_name_that_is_not_theirs(store, tmp_path):
    place = pictures(tmp_path)
    source = source_of(place)
    (place / "train/a/1.png").write_bytes(b"changed on the way")

    with pytest.raises(BadData, match="not the images that were sent"):
        put(store, source, place)

    assert store.list("") == []


def test_images_that_were_never_put_say_how_to(store, tmp_path):
    with pytest.raises(BadData, match="--upload-data"):
        brought(store, source_of(pictures(tmp_path)), tmp_path / "cache")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_images_of_a_store_in_a_bucket_are_copied_once(s3_location, s3_endpoint, tmp_path, kind):
    store, cache = open_store(s3_location), tmp_path / "cache"
    place = pictures(tmp_path)
    if kind == "file":
        place = tmp_path / "x.npz"
        place.write_bytes(b"images")
    source = source_of(place)
    put(store, source, place)

    found = brought(store, source, cache)
    assert found.name == place.name
    assert (files_in(found) == files_in(place)) if kind == "folder" else (found.read_bytes() == b"images")

    # Half a copy is completed; what is there is not fetched again.
    first, *rest = sorted(path for path in [found, *found.rglob("*")] if path.is_file())
    first.write_bytes(b"kept as it is")
    for path in rest:
        path.unlink()
    assert brought(store, source, cache) == found
    assert first.read_bytes() == b"kept as it is"
    assert [path.read_bytes() for path in rest] == [b"train/b/1.png"] * len(rest)


def test_a_file_in_a_bucket_is_copied_once(store, s3_location, s3_endpoint, tmp_path):
    prefix = s3_location.removeprefix(f"s3://{BUCKET}/")
    s3 = seen_by_others(s3_endpoint)
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/x.npz", Body=b"images")

    found = brought(store, f"{s3_location}/x.npz", tmp_path / "cache")
    s3.delete_object(Bucket=BUCKET, Key=f"{prefix}/x.npz")

    assert found.name == "x.npz"
    assert found.read_bytes() == b"images"
    assert brought(store, f"{s3_location}/x.npz", tmp_path / "cache") == found
    with pytest.raises(BadData, match=r"y\.npz: is not there"):
        brought(store, f"{s3_location}/y.npz", tmp_path / "cache")


def test_a_bucket_that_cannot_be_reached_is_no_missing_file(store, s3_location, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:password@127.0.0.1:9")

    with pytest.raises(StoreUnavailable) as refused:
        brought(store, f"{s3_location}/x.npz", tmp_path / "cache")

    assert "password@" not in str(refused.value)


def test_a_file_on_a_web_server_is_downloaded_once(store, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(b"images") as (address, asked):
        found = [brought(store, f"{address}/{folder}/x.npz", tmp_path / "cache") for folder in ("a", "a", "b")]
    with (
        serving(b"", status=403) as (address, _),
        pytest.raises(BadData, match=r"cannot be downloaded: .* 403") as refused,
    ):
        brought(store, f"{address}/x.npz", tmp_path / "cache")

    assert asked == ["/a/x.npz", "/b/x.npz"]
    assert found[0] == found[1] != found[2]
    assert {path.name for path in found} == {"x.npz"}
    assert found[0].read_bytes() == b"images"
    assert len(str(refused.value).splitlines()) == 1


def test_a_cache_that_takes_no_copy_is_named(store, s3_location, s3_endpoint, tmp_path):
    (tmp_path / "file").write_text("in the way")
    key = f"{s3_location.removeprefix(f's3://{BUCKET}/')}/x.npz"
    seen_by_others(s3_endpoint).put_object(Bucket=BUCKET, Key=key, Body=b"images")

    with pytest.raises(BadData, match="file: cannot hold a copy of s3://"):
        brought(store, f"{s3_location}/x.npz", tmp_path / "file")


@pytest.mark.parametrize("source", ["digits", "/data/cats.npz"])
def test_what_is_near_stays_as_it_is(store, tmp_path, source):
    data = DataSpec(source=source)

    assert local_copy(store, data, cache=tmp_path) == data
