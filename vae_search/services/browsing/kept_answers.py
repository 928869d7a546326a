"""Answers that are kept for a while, so that many who ask for the same cost no more than one."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vae_search.errors import CorruptStore, NotFound, VaeSearchError

logger = logging.getLogger(__name__)

STALE = 5  # times as long as an answer is fresh, nobody waits for a newer one that somebody else is reading already


T = TypeVar("T")


@dataclass(slots=True)
class _Kept(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: T | None = None
    read_at_s: float = 0.0


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

    def answer(self, name: str) -> T:
        """The answer to a name, no older than `STALE` times its `fresh_s`; what `read` raises is raised."""
        with self._lock:
            kept = self._kept.pop(name, None) or _Kept()
            self._kept[name] = kept
        seen_at_s, value = kept.read_at_s, kept.value
        fresh_s = 0.0 if value is None else self._fresh_s(value)
        age_s = self._monotonic() - seen_at_s
        if value is not None and age_s < fresh_s:
            return value
        will_do = value is not None and age_s < STALE * fresh_s
        if not kept.lock.acquire(blocking=not will_do) and value is not None:
            return value
        if will_do and self._aside is not None and value is not None:
            try:
                self._aside(lambda: self._renew(name, kept, seen_at_s))
            except RuntimeError:  # the service ends
                kept.lock.release()
            return value
        try:
            return self._newer(name, kept, seen_at_s=None if value is None else seen_at_s)
        finally:
            kept.lock.release()

    def _renew(self, name: str, kept: _Kept[T], seen_at_s: float) -> None:
        try:
            self._newer(name, kept, seen_at_s=seen_at_s)
        except VaeSearchError as trouble:  # who asks next meets it, or finds the store well again
            logger.warning("%s cannot be read anew: %s", name, trouble)
        finally:
            kept.lock.release()

    def keep_only(self, names: set[str]) -> None:
        """Forget all others."""
        with self._lock:
            for name in self._kept.keys() - names:
                del self._kept[name]

    def values(self) -> list[T]:
        """All answers as they were read last."""
        with self._lock:
            return [kept.value for kept in self._kept.values() if kept.value is not None]

    def _newer(self, name: str, kept: _Kept[T], *, seen_at_s: float | None) -> T:
        if kept.value is not None and kept.read_at_s != seen_at_s:  # somebody has read it while this thread waited
            return kept.value
        began_s = self._monotonic()
        try:
            value = self._read(name, kept.value)
        except (NotFound, CorruptStore):
            with self._lock:
                if self._kept.get(name) is kept:
                    del self._kept[name]
            raise
        kept.value, kept.read_at_s = value, began_s
        self._drop()
        return value

    def _drop(self) -> None:
        with self._lock:
            weights = {name: 1 if kept.value is None else self._weigh(kept.value) for name, kept in self._kept.items()}
            total = sum(weights.values())
            for name in [*weights][:-1]:
                if total <= self._most:
                    break
                total -= weights[name]
                del self._kept[name]
