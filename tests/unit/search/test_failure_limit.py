"""When a sweep is given up: by the share of its trials that fail, whatever the number of slots that they land in."""

import heapq
import itertools
import random
from datetime import timedelta

import pytest

from tests.support.rows import BEGAN, trial_row
from vae_search.core.trial_state import Reason
from vae_search.errors import SweepFailed
from vae_search.search.failure_limit import FIRST_DIVERGED, FIRST_FAILURES, RECENT_EXTRA, FailureShare
from vae_search.store.ledger.rows import TrialRow

SWEEPS = 60  # of each share and number of slots


def ended(trial: int, reason: Reason | None = Reason.RAISED, error: str = "ValueError: no\nmore of it") -> TrialRow:
    finished_at = BEGAN + timedelta(seconds=trial)
    if reason is None:
        return trial_row(trial, finished_at=finished_at)
    return trial_row(trial, state=reason.state, reason=reason, error=error, finished_at=finished_at)


def failures_until_given_up(share: FailureShare, *, start: int = 0, reason: Reason = Reason.RAISED) -> int:
    """How many trials in a row fail before the sweep is given up."""
    for count in range(2_000):
        try:
            share.note(ended(start + count, reason))
        except SweepFailed:
            return count + 1
    raise AssertionError("never given up")


def is_given_up(*, slots: int, bad: float, lasts: tuple[float, float], trials: int, draw: random.Random) -> bool:
    """Simulate a sweep whose bad configs fail in no time; a good one lasts for an hour or so."""
    share = FailureShare(lambda: slots)
    running: list[tuple[float, int, bool]] = []
    started = itertools.count()
    clock = 0.0
    for _ in range(trials):
        while len(running) < slots:
            fails = draw.random() < bad
            heapq.heappush(running, (clock + (0.001 if fails else draw.uniform(*lasts)), next(started), fails))
        clock, trial, fails = heapq.heappop(running)
        try:
            share.note(ended(trial, Reason.RAISED if fails else None))
        except SweepFailed:
            return True
    return False


@pytest.mark.parametrize("lasts", [(1.0, 1.0), (0.2, 1.8)], ids=["in step", "out of step"])
@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8, 16, 64, 200])
def test_some_bad_configs_never_end_a_sweep_though_they_fail_before_anything_completes(slots, lasts, quick):
    draw = random.Random(slots)
    sweeps = (SWEEPS if slots < 64 else SWEEPS // 6) // (4 if quick else 1)

    given_up = {
        bad: sum(
            is_given_up(slots=slots, bad=bad, lasts=lasts, trials=4 * slots + 60, draw=draw) for _ in range(sweeps)
        )
        for bad in (0.02, 0.05, 0.2)
    }

    assert given_up == {0.02: 0, 0.05: 0, 0.2: 0}


@pytest.mark.parametrize("slots", [1, 2, 5, 16, 64, 200])
def test_a_sweep_in_which_everything_fails_ends_soon_and_not_before_every_slot_has_had_a_trial(slots):
    failures = failures_until_given_up(FailureShare(lambda: slots))

    assert max(5, slots) <= failures <= slots + FIRST_FAILURES


def test_failures_need_not_be_alike():
    share = FailureShare(lambda: 1)
    reasons = [Reason.RAISED, Reason.OOM, Reason.TIMEOUT] * 2
    for trial, reason in enumerate(reasons[:-1]):
        share.note(ended(trial, reason, f"{reason}: shape ({trial}, 3)"))

    with pytest.raises(SweepFailed) as end:
        share.note(ended(5, reasons[-1], "out of time"))

    assert str(end.value).splitlines()[0] == "sweep digits: all 6 trials that have ended failed, the last was trial 5."
    assert str(end.value).splitlines()[1] == "2 of them by raised: raised: shape (3, 3)"
    assert len(str(end.value).splitlines()) == 3


@pytest.mark.parametrize("reason", [Reason.OOM, Reason.TIMEOUT])
def test_texts_that_are_always_the_same_weigh_no_more_than_others(reason):
    """A third of the configs is too large or too slow, and every one says so in the same words."""
    share = FailureShare(lambda: 4)

    for trial in range(300):
        share.note(ended(trial, reason if trial % 3 == 0 else None, "the worker ran out of memory twice"))


def test_a_wide_range_of_learning_rates_may_diverge_before_one_works():
    share = FailureShare(lambda: 1)
    for trial in range(FIRST_DIVERGED):
        share.note(ended(trial, Reason.DIVERGED, "the loss of step 1 in epoch 1 is nan"))
    share.note(ended(FIRST_DIVERGED, None))

    for trial in range(100):  # most of them do, and one works
        share.note(ended(50 + trial, Reason.DIVERGED))


def test_one_in_which_everything_diverges_ends_as_well():
    assert failures_until_given_up(FailureShare(lambda: 1), reason=Reason.DIVERGED) == FIRST_DIVERGED + 1


def test_divergences_at_different_steps_are_one_cause():
    share = FailureShare(lambda: 1)
    for trial in range(FIRST_DIVERGED):
        share.note(ended(trial, Reason.DIVERGED, f"the loss of step {trial} in epoch {1 + trial % 3} is nan"))

    with pytest.raises(SweepFailed) as end:
        share.note(ended(FIRST_DIVERGED, Reason.DIVERGED, "the loss of step 99 in epoch 4 is nan"))

    assert str(end.value).splitlines()[1] == "diverged: the loss of step 99 in epoch 4 is nan"


@pytest.mark.parametrize("works", [None, Reason.RUNG, Reason.TIME])
def test_what_worked_and_works_no_more_ends_after_a_while(works):
    share = FailureShare(lambda: 2)
    for trial in range(500):
        share.note(ended(trial, works))

    failures = failures_until_given_up(share, start=500)

    assert 5 < failures <= 2 * (2 + RECENT_EXTRA)


def test_one_success_among_many_failures_does_not_save_a_sweep_whose_broken_node_takes_all_trials():
    share = FailureShare(lambda: 2)

    def works_now_and_then() -> None:
        for trial in range(1_000):
            share.note(ended(trial, None if trial % 50 == 0 else Reason.RAISED))

    with pytest.raises(SweepFailed, match=r"\d+ of the last 24 trials failed"):
        works_now_and_then()


def test_slots_that_go_do_not_make_the_failures_of_many_the_failures_of_few():
    slots = 200
    share = FailureShare(lambda: slots)
    for trial in range(100):
        share.note(ended(trial))

    slots = 1

    assert failures_until_given_up(share, start=100) == 105


def test_a_driver_that_goes_on_counts_what_is_in_the_ledger_in_the_order_in_which_it_ended():
    before = [ended(trial) for trial in range(5)]
    share = FailureShare(lambda: 1)

    share.replay(reversed(before))

    assert failures_until_given_up(share, start=5) == 1


def test_one_that_follows_a_sweep_that_was_given_up_tries_it_anew():
    share = FailureShare(lambda: 1)

    share.replay([ended(trial) for trial in range(FIRST_FAILURES + 1)])

    assert failures_until_given_up(share, start=10) == FIRST_FAILURES + 1


def test_trials_that_wait_at_a_rung_have_worked_though_they_have_no_row():
    share = FailureShare(lambda: 1)
    share.note_pause()

    for trial in range(FIRST_FAILURES + 3):
        share.note(ended(trial))


def test_a_share_of_failures_among_trials_that_wait_does_not_end_a_sweep():
    share = FailureShare(lambda: 1)

    for trial in range(200):
        if trial % 5 == 0:
            share.note_pause()
        else:
            share.note(ended(trial))
