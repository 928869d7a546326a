"""Answers that are kept for a while, so that many who ask for the same cost no more than one."""

import logging
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from vae_search.errors import CorruptStore, NotFound, VaeSearchError
from vae_search.store.backends.base import Store

logger = logging.getLogger(__name__)

STALE = 5  # times as long as an answer is fresh, nobody waits for a newer one that somebody else is reading already


T = TypeVar("T")


@dataclass(slots=True)
class _Kept(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    found: tuple[T, float] | None = None
    """the answer, and when the look that it came from began; one value, so that no thread mixes two looks"""
    outdated_at_s: float = -math.inf
    """what was read until then will not do"""
    looks: int = 0
    """that have ended, in an answer or in trouble"""
    trouble: VaeSearchError | None = None
    """of the last look"""
    is_in_line: bool = False
    """whether a look aside was asked for, which may never come: then whoever has too old an answer looks"""

    def will_do(self, read_at_s: float, since_s: float) -> bool:
        """True if an answer that was read then was read since `since_s`, and nobody has outdated it."""
        return read_at_s >= since_s and read_at_s > self.outdated_at_s


class KeptAnswers(Generic[T]):
    """Answers by name, each read by one thread at a time; safe for threads.

    Args:
        read: the answer to a name, given the one before, if it is still kept.
        fresh_s: seconds for which an answer is given without a look.
        weigh: share of `most` that an answer takes; those that were asked for longest ago go.
        aside: makes a call in another thread, for sources that take long: nobody who has an answer that will still do
            waits for the newer one.
    """

    def __init__(
        self,
        read: Callable[[str, T | None], T],
        *,
        fresh_s: Callable[[T], float],
        monotonic: Callable[[], float],
        weigh: Callable[[T], int] = lambda answer: 1,
        most: int,
        aside: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._read = read
        self._aside = aside
        self._fresh_s = fresh_s
        self._monotonic = monotonic
        self._weigh = weigh
        self._most = most
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept[T]] = {}  # in the order in which they were asked for

    def answer(self, name: str, *, since_s: float = -math.inf) -> T:
        """The answer to a name, no older than `STALE` times its `fresh_s`; what `read` raises is raised.

        Whoever waits for another's look shares what comes of it, trouble as well.

        Args:
            since_s: time of the clock before which it must not have been read.
        """
        with self._lock:
            kept = self._kept.pop(name, None) or _Kept()
            self._kept[name] = kept
        looks, found, now_s = kept.looks, kept.found, self._monotonic()
        will_do = False
        if found is not None:
            value, read_at_s = found
            fresh_s, age_s = self._fresh_s(value), now_s - read_at_s
            is_valid = kept.will_do(read_at_s, since_s)
            if is_valid and age_s < fresh_s:
                return value
            will_do = is_valid and age_s < STALE * fresh_s
            if will_do and self._aside is not None:
                if not kept.is_in_line:
                    kept.is_in_line = True
                    with suppress(RuntimeError):  # the service ends
                        self._aside(lambda: self._renew(name, kept, looks))
                return value
        if not kept.lock.acquire(blocking=not will_do) and found is not None:
            return found[0]
        try:
            if kept.looks != looks:  # somebody else has looked while this thread waited
                if kept.trouble is not None:
                    raise kept.trouble.with_traceback(None)
                if (newer := kept.found) is not None and kept.will_do(newer[1], since_s):
                    return newer[0]
            return self._newer(name, kept)
        finally:
            kept.lock.release()

    def outdate(self, name: str) -> None:
        """Let nobody have any more what was read until now: the source has just been changed."""
        with self._lock:
            if (kept := self._kept.get(name)) is not None:
                kept.outdated_at_s = self._monotonic()

    def is_at_hand(self, name: str) -> bool:
        """True if there is an answer that nobody would wait for."""
        with self._lock:
            kept = self._kept.get(name)
        if kept is None or kept.found is None:
            return False
        value, read_at_s = kept.found
        return kept.will_do(read_at_s, -math.inf) and self._monotonic() - read_at_s < STALE * self._fresh_s(value)

    def keep_only(self, names: set[str]) -> None:
        """Forget all others."""
        with self._lock:
            for name in self._kept.keys() - names:
                del self._kept[name]

    def values(self) -> list[T]:
        """All answers as they were read last."""
        with self._lock:
            return [kept.found[0] for kept in self._kept.values() if kept.found is not None]

    def _renew(self, name: str, kept: _Kept[T], looks: int) -> None:
        with kept.lock:
            try:
                if kept.looks == looks:
                    self._newer(name, kept)
            except VaeSearchError as trouble:  # who asks next meets it, or finds the store well again
                logger.warning("%s cannot be read anew: %s", name, trouble)
            except Exception:  # nobody waits for this thread's end, so that a mistake would be silent
                logger.exception("%s cannot be read anew", name)
            finally:
                kept.is_in_line = False

    def _newer(self, name: str, kept: _Kept[T]) -> T:
        began_s = self._monotonic()
        try:
            value = self._read(name, None if kept.found is None else kept.found[0])
        except VaeSearchError as trouble:
            kept.trouble, kept.looks = trouble, kept.looks + 1
            if kept.found is None or isinstance(trouble, NotFound | CorruptStore):
                with self._lock:
                    if self._kept.get(name) is kept:
                        del self._kept[name]
            raise
        kept.found, kept.trouble, kept.looks = (value, began_s), None, kept.looks + 1
        kept.is_in_line = False
        self._drop()
        return value

    def _drop(self) -> None:
        with self._lock:
            weights = {
                name: 1 if kept.found is None else self._weigh(kept.found[0]) for name, kept in self._kept.items()
            }
            total = sum(weights.values())
            for name in [*weights][:-1]:
                if total <= self._most:
                    break
                total -= weights[name]
                del self._kept[name]


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
    """The store for a reader who takes several facts from it at one time: each file and list is asked for once.

    For one thread, and not for long.
    """
    return cast(Store, _OneLook(store))
