"""Time of a sweep's drivers: what its budget of minutes is measured in."""

import math
import time
from collections.abc import Callable

from vae_search.search.control.live_control import LiveControl
from vae_search.store.leases.records import DriverProgress


class DriverTime:
    """Seconds in which trials of the sweep ran, under this driver and earlier ones; `budget.minutes` is their limit.

    While everything waits, for nodes or for slots that another sweep has, nothing is spent. `before_s` is what earlier
    drivers have spent, `exhausted` says whether this one has nothing left to do.
    """

    def __init__(self, budget_minutes: float | None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.before_s = 0.0
        self.exhausted = False
        self._commands = 0
        self._limit_s = None if budget_minutes is None else 60.0 * budget_minutes
        self._monotonic = monotonic
        # What this driver has spent, and since when it grows; in one tuple, because the heartbeat's thread reads it.
        self._spent: tuple[float, float | None] = (0.0, None)

    def follow(self, control: LiveControl) -> None:
        """Take over the limit that is set by now, and how many commands the driver has seen."""
        minutes = control.spec.budget.minutes
        self._limit_s = None if minutes is None else 60.0 * minutes
        self._commands = control.seen

    def tick(self, training: bool) -> None:
        """Let the time run, or stand still."""
        if training != (self._spent[1] is not None):
            self._spent = (self._own_s(), self._monotonic() if training else None)

    def progress(self) -> DriverProgress:
        """Progress of this driver alone, for its lease."""
        return DriverProgress(driver_s=self._own_s(), exhausted=self.exhausted, commands=self._commands)

    def left_s(self) -> float:
        return math.inf if self._limit_s is None else self._limit_s - self.before_s - self._own_s()

    def _own_s(self) -> float:
        spent_s, since_s = self._spent
        return spent_s if since_s is None else spent_s + self._monotonic() - since_s
