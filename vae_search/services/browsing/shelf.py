"""Shelf of results for many readers: one reads a thing anew while the others take what is there, or wait for it."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry(Generic[T]):
    mark: Hashable
    read_at_s: float
    keep_s: float
    value: T


class Shelf(Generic[T]):
    """Values by key, as they were at most so many seconds ago; safe for threads.

    Args:
        keep_s: seconds to keep a value, from the value and the seconds that reading it took.
        most: entries; the one that was read first makes room.
    """

    def __init__(
        self, *, monotonic: Callable[[], float], keep_s: Callable[[T, float], float], most: int = 10_000
    ) -> None:
        self._monotonic = monotonic
        self._keep_s = keep_s
        self._most = most
        self._entries: dict[str, _Entry[T]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def take(self, key: str, read: Callable[[], T], *, mark: Hashable, may_be_old: bool = False) -> T:
        """The value of a key, read anew if its mark has changed or it is too old.

        Args:
            mark: changes with what the value is read from.
            may_be_old: an old value will do while somebody else reads the new one.
        """
        entry = self._fresh(key, mark)
        if entry is not None:
            return entry.value
        with self._lock:
            lock, old = self._locks.setdefault(key, threading.Lock()), self._entries.get(key)
        if not lock.acquire(blocking=old is None or not may_be_old):
            if old is None:
                raise RuntimeError("a lock that is waited for must be got")
            return old.value
        try:
            entry = self._fresh(key, mark)
            return self._read(key, read, mark).value if entry is None else entry.value
        finally:
            lock.release()

    def keep_only(self, keys: frozenset[str]) -> None:
        """Let go of everything else."""
        with self._lock:
            self._entries = {key: entry for key, entry in self._entries.items() if key in keys}
            self._locks = {key: lock for key, lock in self._locks.items() if key in keys or lock.locked()}

    def values(self) -> list[T]:
        """All values as they were read last."""
        with self._lock:
            return [entry.value for entry in self._entries.values()]

    def _fresh(self, key: str, mark: Hashable) -> _Entry[T] | None:
        entry = self._entries.get(key)
        is_fresh = entry is not None and entry.mark == mark and self._monotonic() - entry.read_at_s < entry.keep_s
        return entry if is_fresh else None

    def _read(self, key: str, read: Callable[[], T], mark: Hashable) -> _Entry[T]:
        began_s = self._monotonic()
        value = read()
        ended_s = self._monotonic()
        entry = _Entry(mark=mark, read_at_s=ended_s, keep_s=self._keep_s(value, ended_s - began_s), value=value)
        with self._lock:
            self._entries.pop(key, None)
            self._entries[key] = entry
            while len(self._entries) > self._most:
                first = next(iter(self._entries))
                del self._entries[first]
                self._locks.pop(first, None)
        return entry
