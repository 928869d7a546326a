"""One look at a store: what is read or listed in it is asked for once, however many facts are taken from it."""

from typing import Any, cast

from vae_search.store.backends.base import Store


class _OneLook:
    """Keeps what was read and listed; everything else is the store's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, bytes] = {}
        self._listed: dict[str, list[str]] = {}

    def read(self, path: str) -> bytes:
        """The content of a file, as it was when it was read first."""
        if path not in self._read:
            self._read[path] = self._store.read(path)
        return self._read[path]

    def list(self, prefix: str) -> list[str]:
        """Paths in a folder, as they were when it was listed first."""
        if prefix not in self._listed:
            self._listed[prefix] = self._store.list(prefix)
        return self._listed[prefix]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def one_look(store: Store) -> Store:
    """The store for a reader who takes several facts from it at one time; for one thread, and not for long."""
    return cast(Store, _OneLook(store))
