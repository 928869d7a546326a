"""Watchdog that ends a worker whose trial takes too long: a step that hangs cannot be interrupted in any other way."""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


def end_process() -> None:
    """Leave at once, with the stacks of all threads on standard error; Tune gives the trial to a fresh worker."""
    faulthandler.dump_traceback(file=sys.stderr)
    os._exit(1)


class Watchdog:
    """Bounds the time between `restart` and the end of a step.

    Only steps are watched: a worker that waits for its next trial is no hanging one.

    Args:
        limit_s: for one attempt of a trial; None for no limit.
        on_timeout: called in another thread before the process ends.
        end_process: called last.
    """

    def __init__(
        self,
        limit_s: float | None,
        *,
        on_timeout: Callable[[], None],
        end_process: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._limit_s = limit_s
        self._on_timeout = on_timeout
        self._end_process = end_process
        self._monotonic = monotonic
        self._began_s = monotonic()

    def restart(self) -> None:
        """A new attempt begins."""
        self._began_s = self._monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The block is a step of the attempt. A timeout that is being noted is noted before the block is left."""
        if self._limit_s is None:
            yield
            return
        timer = threading.Timer(max(0.0, self._began_s + self._limit_s - self._monotonic()), self._on_limit)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # else another step could begin in between, and the attempt's timeout be noted twice

    def _on_limit(self) -> None:
        try:
            self._on_timeout()
        except Exception:  # whatever keeps the timeout from being noted, a worker that hangs must not stay
            logger.exception("a trial that takes too long could not be noted")
        finally:
            self._end_process()
