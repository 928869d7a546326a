"""The division of a sweep's minutes: what it promises for any machine and any time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_search.search.planning.confirm_time import SEEDS_SHARE, confirm_length, rounds_of
from vae_search.search.planning.plan import (
    CONFIGS,
    CONTEST_SEEDS,
    TRIAL_START_S,
    Demands,
    Plan,
    Speed,
    expected_epochs,
    plan,
)

FASHION = Speed(epoch_s=3.5, slow_epoch_s=5.0, judge_epochs=10.0)
times = st.floats(1, 600)
workers_at_once = st.integers(1, 64)
speeds = st.builds(
    lambda epoch_s, factor, judge: Speed(epoch_s=epoch_s, slow_epoch_s=epoch_s * factor, judge_epochs=judge),
    st.floats(0.01, 300),
    st.floats(1, 4),
    st.floats(0, 30),
)
demanded = st.builds(Demands, promotes=st.booleans(), least_rung=st.integers(1, 6))


def search_s_of(found: Plan, speed: Speed, workers: int) -> float:
    each = expected_epochs(found.epochs, found.first_rung, found.reduction_factor)
    return found.trials * (each * speed.epoch_s + TRIAL_START_S) / workers


@given(times, workers_at_once, speeds, demanded)
def test_a_plan_that_fits_never_needs_more_than_the_time(minutes, workers, speed, demands):
    found = plan(minutes, workers, speed, demands)

    rounds = rounds_of(workers, finalists=found.finalists, seeds=found.seeds)
    trained_s = rounds * found.confirm_epochs * speed.slow_epoch_s
    if found.fits:
        assert search_s_of(found, speed, workers) <= found.search_s * (1 + 1e-6)
        assert trained_s + found.judge_s <= found.confirm_s * (1 + 1e-6)
    assert found.search_s + found.confirm_s == pytest.approx(60 * minutes)


@given(times, st.floats(1, 10), workers_at_once, speeds, demanded)
def test_more_time_never_means_shorter_trainings(minutes, factor, workers, speed, demands):
    less, more = (plan(each, workers, speed, demands) for each in (minutes, minutes * factor))

    assert less.epochs <= more.epochs
    assert less.confirm_epochs <= more.confirm_epochs
    assert not less.fits or more.fits


@given(times, workers_at_once, speeds, demanded)
def test_a_plan_is_a_valid_sweep(minutes, workers, speed, demands):
    found = plan(minutes, workers, speed, demands)

    assert found.trials >= 1
    assert found.epochs >= 1
    assert found.first_rung is None or demands.least_rung <= found.first_rung < found.epochs
    assert found.seeds >= (CONTEST_SEEDS if demands.promotes else 1)
    assert found.confirm_epochs >= found.epochs


def test_half_an_hour_is_planned_as_it_was_by_hand():
    """By hand: trials of 18 epochs with rungs at 3 and 9, then 228 epochs of two seeds, on two cores."""
    found = plan(30, 2, FASHION, Demands())

    assert 18 <= found.epochs <= 36
    assert found.rungs == (found.epochs // 9, found.epochs // 9 * 3)
    assert found.trials >= CONFIGS
    assert (found.finalists, found.seeds) == (1, 2)
    assert found.confirm_epochs > 5 * found.epochs


def test_a_promotion_gets_its_three_seeds_one_after_another_if_need_be():
    alone = plan(30, 1, FASHION, Demands(promotes=True))

    assert alone.seeds == 3
    assert alone.confirm_epochs == math.floor(0.97 * 0.75 * 1800 / (3 * 5.0) - 10)


@pytest.mark.parametrize(
    ("workers", "shares_machine", "gpus", "threads"),
    [(3, True, 0.0, 3), (3, False, 0.0, None), (3, True, 1.0, None), (2, False, 0.0, 1), (2, True, 0.0, 2)],
)
def test_a_continuation_is_foretold_where_one_will_be_decided(workers, shares_machine, gpus, threads):
    """Three seeds on three workers gain by it only with the cores of all, which a cluster or a GPU does not give."""
    demands = Demands(promotes=True, continues=True, shares_machine=shares_machine, gpus_per_trial=gpus)

    found = plan(30, workers, FASHION, demands)

    assert (found.continues, found.threads) == (threads is not None, threads)
    rounds = rounds_of(workers, finalists=1, seeds=3)
    share = SEEDS_SHARE if threads else 1.0
    assert found.confirm_epochs == math.floor(0.97 * share * 0.75 * 1800 / (rounds * 5.0) - 10)


def test_huge_epochs_leave_one_trial_and_say_that_they_do_not_fit():
    found = plan(1, 1, Speed(epoch_s=3600, slow_epoch_s=3600, judge_epochs=1), Demands(promotes=True, least_rung=5))

    assert (found.trials, found.epochs, found.rungs) == (1, 5, ())
    assert not found.fits


def test_what_a_spec_gives_is_kept():
    demands = Demands(trials=7, epochs=45, first_rung=5, finalists=3, seeds=4)
    found = plan(30, 2, FASHION, demands)

    assert (found.trials, found.epochs, found.rungs, found.finalists, found.seeds) == (7, 45, (5, 15), 3, 4)


def test_a_sweep_without_confirm_runs_searches_all_the_time():
    found = plan(30, 2, FASHION, Demands(finalists=0))

    assert (found.search_s, found.confirm_s, found.confirm_epochs) == (1800, 0, 0)


def test_enqueued_configs_are_all_tried():
    assert plan(1, 1, FASHION, Demands(least_trials=40)).trials == 40


@pytest.mark.parametrize("time", [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.0)])
def test_nothing_is_planned_without_time_workers_or_speed(time):
    minutes, workers, epoch_s = time
    with pytest.raises(ValueError, match="must be positive"):
        plan(minutes, workers, Speed(epoch_s=epoch_s, slow_epoch_s=1.0, judge_epochs=0.0), Demands())


def test_no_time_is_no_epoch():
    assert confirm_length(-1, workers=2, finalists=1, seeds=2, epoch_s=1.0, judge_epochs=0.0) == 0


def test_a_late_first_rung_is_reached_with_fewer_configs_rather_than_never():
    slow = Speed(epoch_s=5.0, slow_epoch_s=6.0, judge_epochs=10.0)

    found = plan(30, 2, slow, Demands(promotes=True, least_rung=5))

    assert found.rungs == (5,)
    assert found.epochs == 15
    assert 16 <= found.trials < CONFIGS
