"""A store in a folder of its own; without waiting for the disk, which no test here is about."""

from pathlib import Path

import pytest

from tests.support.candidates import FakeBackend
from vae_search.store.backends.local import LocalStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setattr("os.fsync", lambda _: None)
    return LocalStore(tmp_path / "store")


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()
