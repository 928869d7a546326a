"""Images that lie far away: named by their content or address, and at hand as what was put there."""

import io
import random
from pathlib import Path

import numpy as np
import pytest

from tests.support.faulty_http import Fault, faulty_proxy
from tests.support.file_server import FileServer, file_server
from tests.support.pictures import grey
from tests.support.s3_server import BUCKET, seen_by_others
from vae_search.core.transfer import spans
from vae_search.errors import BadData, StoreUnavailable
from vae_search.services import datasets
from vae_search.services.datasets import LocalCopy, local_copy, open_dataset
from vae_search.services.images import sent_images
from vae_search.services.images.sent_images import put, source_of
from vae_search.spec.fields import located
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.uri import open_store


def pictures(folder: Path, name: str = "my pictures") -> Path:
    place = folder / name
    for path in ("train/a/1.png", "train/b/1.png"):
        (place / path).parent.mkdir(parents=True)
        (place / path).write_bytes(path.encode())
    return place


def npz_bytes(count: int = 300) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x_train=grey(count))
    return buffer.getvalue()


def files_in(place: Path) -> dict[str, bytes]:
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def brought(store, source: str, cache: Path) -> Path:
    return Path(local_copy(store, DataSpec(source=source, binarize="threshold"), cache=cache).data.source)


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
    data = DataSpec(source=source, binarize="threshold", test=2)
    found = local_copy(store, data, cache=tmp_path / "cache").data

    assert (found.binarize, found.test) == ("threshold", 2)
    assert Path(found.source).is_relative_to(store.location)
    assert files_in(Path(found.source)) == {"train/a/1.png": b"train/a/1.png", "train/b/1.png": b"train/b/1.png"}
    assert not (tmp_path / "cache").exists()


def test_a_large_file_put_into_a_store_on_this_machine_does_not_pass_through_memory(store, tmp_path, monkeypatch):
    monkeypatch.setattr(sent_images, "LARGE_BYTES", 1000)
    monkeypatch.setattr(Path, "read_bytes", lambda path, read=Path.read_bytes: read(path) if path != place else None)
    place = tmp_path / "large.npy"
    place.write_bytes(bytes(range(250)) * 20)
    source = source_of(place)

    put(store, source, place)

    (path,) = store.list("images")
    assert store.read(path) == bytes(range(250)) * 20


def test_a_file_that_no_bucket_takes_at_once_is_refused_with_the_way_out(
    s3_location, s3_endpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr(sent_images, "LARGE_BYTES", 1000)
    monkeypatch.setattr(sent_images, "BUCKET_BYTES", 2000)
    place = tmp_path / "large.npy"
    place.write_bytes(bytes(5000))

    with pytest.raises(BadData, match=r"Put it into the bucket yourself, and name it: data.source: s3://"):
        put(open_store(s3_location), source_of(place), place)


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

    # Half a copy, or a damaged one, is made anew; a whole one is not fetched again.
    files = sorted(path for path in [found, *found.rglob("*")] if path.is_file())
    files[0].write_bytes(b"damaged")
    for path in files[1:]:
        path.unlink()
    assert brought(store, source, cache) == found
    assert (files_in(found) == files_in(place)) if kind == "folder" else (found.read_bytes() == b"images")
    for path in store.list("images"):
        store.remove(path)
    assert brought(store, source, cache) == found


def test_a_large_file_among_images_of_a_bucket_does_not_pass_through_memory(
    s3_location, s3_endpoint, monkeypatch, tmp_path
):
    monkeypatch.setattr(datasets, "LARGE_BYTES", 1000)
    place = pictures(tmp_path)
    (place / "large.bin").write_bytes(bytes(5000))
    store, source = open_store(s3_location), source_of(place)
    put(store, source, place)
    read: list[str] = []
    monkeypatch.setattr(store, "read_many", lambda paths: [*map(store.read, [read.append(p) or p for p in paths])])

    found = brought(store, source, tmp_path / "cache")

    assert files_in(found) == files_in(place)
    assert not [path for path in read if "large" in path]
    assert {path.name for path in (tmp_path / "cache" / "far").iterdir()} == {found.parent.name}


def test_a_store_that_holds_other_images_under_a_name_is_not_believed(s3_location, s3_endpoint, tmp_path):
    store = open_store(s3_location)
    (tmp_path / "x.npz").write_bytes(b"images")
    source = source_of(tmp_path / "x.npz")
    put(store, source, tmp_path / "x.npz")
    (path,) = store.list("images")
    store.replace(path, b"others")

    with pytest.raises(BadData, match="holds other images under this name"):
        brought(store, source, tmp_path / "cache")

    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def put_object(location: str, endpoint: str, name: str, content: bytes) -> str:
    """Address of an object that somebody else has put there."""
    key = f"{location.removeprefix(f's3://{BUCKET}/')}/{name}"
    seen_by_others(endpoint).put_object(Bucket=BUCKET, Key=key, Body=content)
    return f"{location}/{name}"


def test_a_file_in_a_bucket_is_copied_once_as_long_as_it_is_the_same(store, s3_location, s3_endpoint, tmp_path):
    address = put_object(s3_location, s3_endpoint, "x.npz", b"images")

    found = brought(store, address, tmp_path / "cache")
    assert found.name == "x.npz"
    assert found.read_bytes() == b"images"
    with faulty_proxy(s3_endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert brought(store, address, tmp_path / "cache") == found
        assert sum(proxy.sent_bytes) == 0

    put_object(s3_location, s3_endpoint, "x.npz", b"others")
    assert brought(store, address, tmp_path / "cache").read_bytes() == b"others"
    with pytest.raises(BadData, match=r"y\.npz: is not there"):
        brought(store, f"{s3_location}/y.npz", tmp_path / "cache")


def test_a_large_file_comes_over_a_network_that_cuts(store, s3_location, s3_endpoint, monkeypatch, tmp_path):
    monkeypatch.setattr(spans, "FIRST_PAUSE_S", 0.0)
    content = random.Random(0).randbytes(20 * 2**20)
    address = put_object(s3_location, s3_endpoint, "x.npz", content)

    with faulty_proxy(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.next_faults = [Fault.CUT, Fault.CUT, Fault.RESET_BEFORE, Fault.CUT, Fault.ERROR_AFTER, Fault.CUT]
        found = brought(store, address, tmp_path / "cache")

        assert proxy.next_faults == []
    assert found.read_bytes() == content


def test_the_right_to_get_the_object_alone_suffices(store, s3_location, s3_endpoint, monkeypatch, tmp_path):
    address = put_object(s3_location, s3_endpoint, "x.npz", b"images")

    with faulty_proxy(s3_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.admits = lambda method, path: method == "GET" and path.endswith("/x.npz")

        assert brought(store, address, tmp_path / "cache").read_bytes() == b"images"
        with pytest.raises(StoreUnavailable, match=r"y\.npz: cannot be read: 403 .*AccessDenied.*\nCheck the cred"):
            brought(store, f"{s3_location}/y.npz", tmp_path / "cache")


def test_a_bucket_that_is_away_leaves_the_copy_in_use(store, s3_location, s3_endpoint, monkeypatch, tmp_path, caplog):
    address = put_object(s3_location, s3_endpoint, "x.npz", b"images")
    found = brought(store, address, tmp_path / "cache")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    assert brought(store, address, tmp_path / "cache") == found
    assert "its copy in the cache is used" in caplog.text


def test_a_bucket_that_cannot_be_reached_is_no_missing_file(store, s3_location, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:password@127.0.0.1:9")

    with pytest.raises(StoreUnavailable) as refused:
        brought(store, f"{s3_location}/x.npz", tmp_path / "cache")

    assert "password@" not in str(refused.value)


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with file_server(npz_bytes()) as server:
        yield server


def test_a_file_on_a_web_server_is_copied_by_its_address(store, web, tmp_path):
    found = [brought(store, f"{web.address}/{folder}/x.npz", tmp_path / "cache") for folder in ("a", "a", "b")]

    assert found[0] == found[1] != found[2]
    assert {path.name for path in found} == {"x.npz"}
    assert found[0].read_bytes() == web.content


@pytest.mark.parametrize(("status", "says"), [(403, "cannot be downloaded: .* 403"), (404, "is not there")])
def test_a_web_server_that_says_no_is_quoted_in_a_line(store, web, tmp_path, status, says):
    web.status = status

    with pytest.raises(BadData, match=says) as refused:
        brought(store, f"{web.address}/x.npz", tmp_path / "cache")

    assert len(str(refused.value).splitlines()) == 1


def opened(web: FileServer, store, tmp_path: Path, *, refresh: bool = False) -> int:
    """The count of the images that a spec with the server's address gets."""
    data = DataSpec(source=f"{web.address}/x.npz", binarize="threshold")
    dataset = open_dataset(store, data, cache=tmp_path / "cache", refresh=refresh)
    return sum(len(part) for part in (dataset.train, dataset.select, dataset.judge, dataset.test))


@pytest.mark.parametrize("spoilt", [b"<html>Sign in to the network first</html>", npz_bytes()[:-2000], b""])
def test_what_cannot_be_decoded_is_not_kept_and_says_how_to_get_it_again(store, web, tmp_path, spoilt):
    """A server that gives neither length nor version, as a login page does."""
    whole, web.content = web.content, spoilt
    web.announces_length, web.etag = False, None

    with pytest.raises(BadData, match="the same command fetches it anew") as refused:
        opened(web, store, tmp_path)

    assert f"{web.address}/x.npz" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert len(str(refused.value).splitlines()) <= 3
    assert not [path for path in tmp_path.rglob("x.npz") if path.is_file()]
    web.content = whole
    assert opened(web, store, tmp_path) == 300


def test_a_copy_that_was_damaged_on_this_disk_is_fetched_again(store, web, tmp_path):
    opened(web, store, tmp_path)
    (copy,) = (path for path in tmp_path.rglob("x.npz") if path.is_file())
    copy.write_bytes(bytes(len(web.content)))

    assert opened(web, store, tmp_path) == 300
    assert copy.read_bytes() == web.content


def test_a_spec_that_does_not_fit_its_images_costs_no_second_download(store, web, tmp_path):
    data = DataSpec(source=f"{web.address}/x.npz", binarize="threshold", validation=1000)

    with pytest.raises(BadData, match="validation"):
        open_dataset(store, data, cache=tmp_path / "cache")

    assert [path for path in tmp_path.rglob("x.npz") if path.is_file()]


def test_a_refresh_fetches_images_of_a_server_that_keeps_its_etag(store, web, tmp_path):
    opened(web, store, tmp_path)
    web.content = npz_bytes(250)

    assert opened(web, store, tmp_path) == 300
    assert opened(web, store, tmp_path, refresh=True) == 250


def test_a_cache_that_takes_no_copy_is_named(store, s3_location, s3_endpoint, tmp_path):
    (tmp_path / "file").write_text("in the way")
    key = f"{s3_location.removeprefix(f's3://{BUCKET}/')}/x.npz"
    seen_by_others(s3_endpoint).put_object(Bucket=BUCKET, Key=key, Body=b"images")

    with pytest.raises(BadData, match="file: cannot hold a copy of s3://"):
        brought(store, f"{s3_location}/x.npz", tmp_path / "file")


@pytest.mark.parametrize("source", ["digits", "/data/cats.npz"])
def test_what_is_near_stays_as_it_is(store, tmp_path, source):
    data = DataSpec(source=source)

    assert local_copy(store, data, cache=tmp_path) == LocalCopy(data=data)
