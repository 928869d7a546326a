"""A store in a bucket of Google's: the contract, large files, images, and what users are told."""

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gcs_server import gcs_server
from tests.support.store_contract import StoreContract
from vae_search.errors import BadData, StoreUnavailable
from vae_search.services.datasets import local_copy
from vae_search.spec.fields import located
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with gcs_server() as endpoint:
        yield endpoint


@pytest.fixture
def location(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GOOGLE_BASE_URL", endpoint)
    monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "of this test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return f"gs://bucket/{uuid.uuid4().hex}"


@pytest.fixture
def store(location: str) -> Store:
    return open_store(location)


class TestGoogleStore(StoreContract):
    @pytest.fixture
    def store(self, store: Store) -> Store:
        return store


def test_a_large_file_comes_back(store: Store) -> None:
    content = random.Random(0).randbytes(20 * 2**20)

    store.create("large", content)

    assert store.read("large") == content


def test_images_are_read_from_there(store: Store, location: str, tmp_path: Path) -> None:
    store.create("x.npz", b"images")
    data = DataSpec(source=located(f"{location}/x.npz", tmp_path))

    first, second = (local_copy(store, data, cache=tmp_path) for _ in range(2))

    assert (first.is_fresh, second.is_fresh) == (True, False)
    assert Path(second.data.source).read_bytes() == b"images"
    with pytest.raises(BadData, match="is not there"):
        local_copy(store, DataSpec(source=f"{location}/y.npz"), cache=tmp_path)


def test_an_endpoint_that_is_away_is_told_without_amazons_words(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:9")

    with pytest.raises(StoreUnavailable) as failure:
        open_store(location)

    assert "Connection refused" in str(failure.value)
    assert "AWS" not in str(failure.value)


@pytest.mark.parametrize("location", ["az://container/x", "abfs://c@a/x", "hdfs://host/x"])
def test_what_is_not_supported_is_refused_with_what_is(location: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"s3://bucket/prefix or gs://bucket/prefix, but got \w+://…"):
        open_store(location)
