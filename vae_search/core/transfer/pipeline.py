"""Pipeline of calls that wait for a network: several at once, their results taken in order by one thread."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Pipeline:
    """Calls made aside, and what is to be done with their results.

    All methods are called from one thread, and results are taken in that thread: only the calls run aside.

    Args:
        width: calls at once; 0 if each is to be made at once, in the caller's thread.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._pool = ThreadPoolExecutor(width, thread_name_prefix="aside") if width else None
        self._begun: deque[tuple[Future[Any], Callable[[Any], object]]] = deque()

    def begin(self, call: Callable[[], T], take: Callable[[T], object] = lambda _: None) -> None:
        """Make a call, and let `take` have its result in `settle`; both now if nothing runs aside."""
        if self._pool is None:
            take(call())
        else:
            self._begun.append((self._pool.submit(call), take))

    def settle(self, *, wait: bool = False) -> None:
        """Take the results that are there, the call that began first before all others.

        Args:
            wait: take all, those that follow from them included.

        Raises:
            Exception: What a call, or `take`, raised; the calls behind it are taken by the next `settle`.
        """
        while self._begun and (wait or self._begun[0][0].done()):
            future, take = self._begun.popleft()
            take(future.result())

    def beside(self, aside: Callable[[], object], call: Callable[[], T]) -> T:
        """Make two calls at once and return the second's result; one after the other if nothing runs aside.

        Raises:
            Exception: What `aside` raised, before anything that `call` did.
        """
        if self._pool is None:
            aside()
            return call()
        future = self._pool.submit(aside)
        try:
            result = call()
        finally:
            future.result()
        return result

    def close(self) -> None:
        """Wait until no call runs any more. What has not begun is not made; results that were not taken are lost."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
