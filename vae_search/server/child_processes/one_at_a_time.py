"""Answers that each take a process of its own: one is made at a time, and the last ones are kept in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Generic, TypeVar

from vae_search.server.problems import RefusalError

KEPT = 64  # pictures of 28×28 images take 100 to 400 kB
MOST_WAITING = 4  # requests; each holds one of the threads that answer everybody
WAIT_S = 60.0

T = TypeVar("T")


class OneAtATime(Generic[T]):
    """Answers by name, whose name says all that they depend on; safe for threads.

    Args:
        wait_s: for another that is being made.
    """

    def __init__(self, *, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._one = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def get(self, name: str, make: Callable[[], T]) -> T:
        """The answer: at once if it was made before; what `make` raises is raised.

        Raises:
            RefusalError: Others are being made.
        """
        if (known := self._known(name)) is not None:
            return known
        if not self._waiting.acquire(blocking=False):
            raise _busy()
        try:
            if not self._one.acquire(timeout=self._wait_s):
                raise _busy()
            try:
                if (known := self._known(name)) is not None:  # somebody else has waited for the same
                    return known
                found = make()
                self._keep(name, found)
                return found
            finally:
                self._one.release()
        finally:
            self._waiting.release()

    def _known(self, name: str) -> T | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def _keep(self, name: str, found: T) -> None:
        with self._lock:
            self._kept[name] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def _busy() -> RefusalError:
    return RefusalError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Other models are being decoded. Try again later.",
        headers={"Retry-After": "15"},
    )
