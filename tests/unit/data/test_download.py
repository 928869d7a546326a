"""Downloads from a server on this machine: kept only if what came is the published file."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import grey
from tests.support.web_server import serving
from vae_search.data import builtin
from vae_search.data.download import PublishedFile
from vae_search.data.sources import read_source
from vae_search.errors import BadData


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x_train=grey(), x_test=grey(30)[::-1])
    return buffer.getvalue()


PUBLISHED = npz_bytes()


@pytest.fixture(autouse=True)
def only_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def publish(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Have `mnist` mean PUBLISHED at this address."""
    digest = hashlib.sha256(PUBLISHED).hexdigest()
    monkeypatch.setattr(builtin, "MNIST", PublishedFile(url=f"{address}/mnist.npz", sha256=digest))


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_published_file_is_downloaded_once(tmp_path, monkeypatch):
    cache = tmp_path / "new" / "cache"

    with serving(PUBLISHED) as (address, asked):
        publish(monkeypatch, address)
        first, second = (read_source("mnist", cache=cache) for _ in range(2))

    assert asked == ["/mnist.npz"]
    assert kept(cache) == ["mnist.npz"]
    for source in (first, second):
        np.testing.assert_array_equal(source.train.pixels[..., 0], grey())


@pytest.mark.parametrize(
    ("content", "announced", "status"),
    [
        (PUBLISHED[:-100], len(PUBLISHED), 200),
        (PUBLISHED[:-100], None, 200),
        (b"<html>Sign in to the network first</html>", None, 200),
        (b"", None, 200),
        (b"gone", None, 404),
    ],
    ids=["cut off", "shortened", "another file", "nothing", "not there"],
)
def test_a_download_that_is_not_the_file_is_refused_and_not_kept(tmp_path, monkeypatch, content, announced, status):
    with serving(content, announced=announced, status=status) as (address, asked):
        publish(monkeypatch, address)
        with pytest.raises(BadData, match="by hand") as error:
            read_source("mnist", cache=tmp_path / "cache")

    assert asked == ["/mnist.npz"]
    assert len(str(error.value).splitlines()) <= 3
    assert kept(tmp_path / "cache") == []


def test_a_damaged_file_in_the_cache_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").write_bytes(PUBLISHED[:-100])

    with serving(PUBLISHED) as (address, _):
        publish(monkeypatch, address)
        read_source("mnist", cache=tmp_path)

    assert (tmp_path / "mnist.npz").read_bytes() == PUBLISHED


def test_a_name_that_cannot_be_had_says_where_to_put_it(tmp_path, monkeypatch):
    publish(monkeypatch, "http://127.0.0.1:9")

    with pytest.raises(BadData, match="by hand") as error:
        read_source("mnist", cache=tmp_path)

    assert str(tmp_path) in str(error.value)
    assert len(str(error.value).splitlines()) == 3


def test_a_cache_folder_that_cannot_be_created_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")

    with serving(PUBLISHED) as (address, asked):
        publish(monkeypatch, address)
        with pytest.raises(BadData, match="Not a directory") as error:
            read_source("mnist", cache=tmp_path / "file" / "cache")

    assert str(tmp_path / "file" / "cache") in str(error.value)
    assert asked == []
