"""Limit of equal failures in a row: then the spec or the machine is at fault, not a config, and the sweep ends."""

from vae_search.core.trial_state import State
from vae_search.errors import SweepFailed
from vae_search.store.ledger.rows import TrialRow

SAME_FAILURES_IN_A_ROW = 5


class FailureStreak:
    """The failures since the last trial that did not fail, or failed for another reason."""

    def __init__(self) -> None:
        self._cause: str | None = None
        self._length = 0

    def note(self, row: TrialRow) -> None:
        """A trial has ended.

        Raises:
            SweepFailed: It is the last of SAME_FAILURES_IN_A_ROW that failed alike.
        """
        cause = f"{row.reason}: {(row.error or '').splitlines()[0]}" if row.state is State.FAIL else None
        self._length = self._length + 1 if cause == self._cause else 1
        self._cause = cause
        if cause is not None and self._length >= SAME_FAILURES_IN_A_ROW:
            raise SweepFailed(
                f"sweep {row.sweep}: {SAME_FAILURES_IN_A_ROW} trials in a row failed alike, the last was trial "
                f"{row.trial}.\n{cause}\nSee the whole error with `vae-search best {row.sweep} --all --json`."
            )
