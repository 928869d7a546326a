"""A store in a folder whose name would break careless quoting."""

from pathlib import Path

import pytest

from vae_search.store.backends.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "it's a störe, 100%")
