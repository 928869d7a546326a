"""Share of failed trials beyond which the spec or the machine is at fault, not a config, and the sweep ends.

Where trials run in parallel, failures are fast and end first: a streak of them says nothing. So the share is taken over
windows that grow with the number of slots, by more than bad configs of a sound space ever fill.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from vae_search.core.trial_state import Reason, State
from vae_search.errors import SweepFailed
from vae_search.store.ledger.rows import TrialRow

# Failures before anything has worked, beyond one for each slot. While as many good trials as there are slots are in
# their first epochs, 20 % of bad configs reach this in less than one sweep of ten thousand, with any number of slots.
FIRST_FAILURES = 5
FIRST_DIVERGED = 20  # the same where all of them diverged, as most of a wide range of learning rates may
RECENT_SHARE = 0.9  # of the trials that ended last, once something has worked
RECENT_EXTRA = 10  # the window is twice as long as there are slots and this


class FailureShare:
    """Judge of the trials that have ended, in the order in which they did.

    Divergence is in the nature of a config, so it counts only while nothing else has ever come out.

    Args:
        slots: trials that run at once now; the most that were seen count.
    """

    def __init__(self, slots: Callable[[], int]) -> None:
        self._slots = slots
        self._most_slots = 1
        self._worked = False
        self._recent: deque[TrialRow | None] = deque()
        """that ended last, or were paused; all of them until one has worked"""

    def note_pause(self) -> None:
        """A trial is paused at a rung: its config works, though it may have no row for long."""
        self._worked = True
        self._recent.append(None)

    def note(self, row: TrialRow) -> None:
        """A trial has ended.

        Raises:
            SweepFailed: So many have failed that more of them will.
        """
        self._most_slots = max(self._most_slots, self._slots())
        self._worked = self._worked or row.state is not State.FAIL
        self._recent.append(row)
        window = 2 * (self._most_slots + RECENT_EXTRA)
        while self._worked and len(self._recent) > window:
            self._recent.popleft()
        if row.state is not State.FAIL:
            return
        failed = [ended for ended in self._recent if ended is not None and ended.state is State.FAIL]
        undiverged = [ended for ended in failed if ended.reason is not Reason.DIVERGED]
        if not self._worked:
            if max(len(undiverged) - FIRST_FAILURES, len(failed) - FIRST_DIVERGED) >= self._most_slots:
                raise _given_up(f"all {len(failed)} trials that have ended failed", failed)
        elif len(undiverged) >= RECENT_SHARE * window:
            raise _given_up(f"{len(undiverged)} of the last {window} trials failed", undiverged)

    def replay(self, rows: Iterable[TrialRow]) -> None:
        """Take in what earlier drivers have noted.

        One that gave up has been followed by somebody who has mended something, or wants it tried again: behind it the
        count begins anew.
        """
        for row in sorted(rows, key=lambda row: row.finished_at):
            try:
                self.note(row)
            except SweepFailed:
                self._recent.clear()
                self._worked = False


def _given_up(what: str, failed: list[TrialRow]) -> SweepFailed:
    causes = Counter(f"{row.reason}: {next(iter((row.error or '').splitlines()), '')}" for row in failed)
    cause, times = causes.most_common(1)[0]
    last = failed[-1]
    return SweepFailed(
        f"sweep {last.sweep}: {what}, the last was trial {last.trial}.\n"
        f"{f'{times} of them by ' if times < len(failed) else ''}{cause}\n"
        f"See the whole error with `vae-search best {last.sweep} --all --json`."
    )
