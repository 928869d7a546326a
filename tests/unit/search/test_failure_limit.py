"""A sweep is given up after the same failure five times in a row, and not otherwise."""

import pytest

from tests.support.rows import trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.errors import SweepFailed
from vae_search.search.failure_limit import SAME_FAILURES_IN_A_ROW, FailureStreak
from vae_search.store.ledger.rows import TrialRow


def failed(trial: int, error: str = "ValueError: no\nmore of it") -> TrialRow:
    return trial_row(trial, state=State.FAIL, reason=Reason.RAISED, error=error)


def test_the_fifth_failure_alike_ends_the_sweep_and_says_what_it_was():
    streak = FailureStreak()
    for trial in range(SAME_FAILURES_IN_A_ROW - 1):
        streak.note(failed(trial))

    with pytest.raises(
        SweepFailed, match=r"sweep digits: 5 trials in a row failed alike, the last was trial 7\."
    ) as end:
        streak.note(failed(7))

    assert f"{Reason.RAISED}: ValueError: no\nSee" in str(end.value)


@pytest.mark.parametrize("between", [trial_row(9), failed(9, "OSError: something else")], ids=["success", "another"])
def test_what_lies_between_begins_a_new_streak(between):
    streak = FailureStreak()
    for trial in range(SAME_FAILURES_IN_A_ROW - 1):
        streak.note(failed(trial))
    streak.note(between)
    for trial in range(SAME_FAILURES_IN_A_ROW - 1):
        streak.note(failed(10 + trial))

    with pytest.raises(SweepFailed):
        streak.note(failed(20))
