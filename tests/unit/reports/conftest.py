"""A store in a folder whose name would break careless quoting."""

from tests.unit.store.conftest import store

__all__ = ["store"]
