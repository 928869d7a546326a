"""Retries of queued sweeps: the end of a driver decides whether another try would help, and after which wait."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from vae_search.errors import BadData, Conflict, Interrupted, InvalidSpec, NotPromoted, SweepFailed, VaeSearchError

DONE, BUG, CONFLICT, STOPPED = 0, VaeSearchError.exit_code, Conflict.exit_code, Interrupted.exit_code
HOPELESS = frozenset(kind.exit_code for kind in (InvalidSpec, BadData, SweepFailed, NotPromoted))
MOST_BUGS = 3  # ends in a row by a mistake in the program, before it is no longer tried
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 600.0


class Fate(StrEnum):
    """Consequence of a driver's end for its item."""

    DONE = "done"
    PARK = "park"
    RETRY = "retry"


def fate_of(exit_codes: Sequence[int | None]) -> Fate:
    """The fate of an item whose drivers have ended so, the last one last; None stands for one that was lost.

    A cluster, a store or a machine in trouble may recover, and a driver that was stopped or killed can go on. A wrong
    spec stays wrong. A conflict may have been with a driver that was about to end; the second in a row is with the
    store.
    """
    last = exit_codes[-1]
    if last == DONE:
        return Fate.DONE
    if last in HOPELESS:
        return Fate.PARK
    if [*exit_codes[-2:]] == [CONFLICT, CONFLICT]:
        return Fate.PARK
    if len(exit_codes) >= MOST_BUGS and all(code == BUG for code in exit_codes[-MOST_BUGS:]):
        return Fate.PARK
    return Fate.RETRY


def wait_before_next(exit_codes: Sequence[int | None]) -> timedelta:
    """The wait after the last end: doubled with each failure in a row, none after a driver that was asked to stop."""
    failures = 0
    for code in reversed(exit_codes):
        if code in (DONE, STOPPED):
            break
        failures += 1
    if not failures:
        return timedelta(0)
    return timedelta(seconds=min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 20)))
