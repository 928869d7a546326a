"""A store that waits out trouble: a disk that is full, a network that is away, are often helped in half a minute."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vae_search.errors import StoreUnavailable
from vae_search.store.backends.base import Store

logger = logging.getLogger(__name__)

DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

T = TypeVar("T")


class RetryingStore:
    """Another store, each call of which is made again after growing waits while the store is unavailable.

    Every call of a store may be made again after StoreUnavailable; `create` then has not created anything.

    Args:
        store: the one that does the work.
        wait: waits so many seconds; true if nobody wants to wait any longer.
    """

    def __init__(self, store: Store, *, wait: Callable[[float], bool]) -> None:
        self.location = store.location
        self._store = store
        self._wait = wait

    def create(self, path: str, content: bytes) -> None:
        self._patiently(lambda: self._store.create(path, content))

    def replace(self, path: str, content: bytes) -> None:
        self._patiently(lambda: self._store.replace(path, content))

    def read(self, path: str) -> bytes:
        return self._patiently(lambda: self._store.read(path))

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        wanted = [*paths]
        # In one go: after trouble half-way, all are read again, as an iterator cannot be begun twice.
        yield from self._patiently(lambda: [*self._store.read_many(wanted)])

    def list(self, prefix: str) -> list[str]:
        return self._patiently(lambda: self._store.list(prefix))

    def folders(self, prefix: str) -> Sequence[str]:
        return self._patiently(lambda: self._store.folders(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        return self._patiently(lambda: self._store.sizes(prefix))

    def remove(self, path: str) -> None:
        self._patiently(lambda: self._store.remove(path))

    def remove_tree(self, prefix: str) -> None:
        self._patiently(lambda: self._store.remove_tree(prefix))

    def local_path(self, path: str) -> Path | None:
        return self._store.local_path(path)

    def _patiently(self, call: Callable[[], T]) -> T:
        for delay_s in DELAYS_S:
            try:
                return call()
            except StoreUnavailable as trouble:
                logger.warning("waiting %g s for the store: %s", delay_s, trouble)
                if self._wait(delay_s):
                    raise
        return call()
