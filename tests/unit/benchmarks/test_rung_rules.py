"""Replays of rules for rungs, on curves whose answer is known."""

import sys

import numpy as np
import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from rung_rules import LAST, Pool, measured, replay, with_divergence


def pool_of(*levels: float) -> Pool:
    """Trials whose curves never cross, one second an epoch."""
    values = np.array(levels)[:, None] + np.linspace(10, 0, LAST)
    return Pool(values=values, epoch_s=np.ones(len(levels)), diverges=np.zeros(len(levels), int))


def test_stopping_lets_the_first_two_pass_however_bad_and_waiting_does_not():
    pool = pool_of(9, 8, 7, 6, 5, 4, 3, 2, 1)
    order = list(range(9))

    stopping, waiting = (replay(pool, order, rule, 1, restore_s=0.0) for rule in ("stopping", "promoting"))

    # The worst come first: each is the best so far, so that all are trained to the end.
    assert (len(stopping.complete), stopping.epochs) == (9, 9 * LAST)
    # From the third on each passes the first rung, and from the third of these on the second: 2, 3, 4 … and 4, 5, 6 …
    assert [trial for _, _, trial in waiting.complete] == [4, 5, 6, 7, 8]
    assert waiting.epochs == 9 * 3 + 7 * 6 + 5 * 18


def test_the_last_trial_that_is_left_is_trained_to_the_end():
    found = replay(pool_of(2, 1), [0, 1], "promoting", 1, restore_s=0.0)

    assert [trial for _, _, trial in found.complete] == [1]
    assert (found.epochs, found.resumed) == (3 + 3 + 6 + 18, 2)


def test_going_on_from_a_checkpoint_costs_time_and_going_on_at_once_does_not():
    pool, order = pool_of(3, 2, 1), [0, 1, 2]

    waiting, at_once = (replay(pool, order, rule, 1, restore_s=1.0) for rule in ("promoting", "at-once"))

    assert waiting.epochs == at_once.epochs == 3 * 3 + 6 + 18
    assert (waiting.resumed, at_once.resumed) == (2, 1)  # at-once: only past the second rung, as the last one left
    assert waiting.cpu_s == pytest.approx(at_once.cpu_s + 1.0)


def test_trials_that_diverge_count_as_the_worst_where_the_rule_says_so():
    pool = pool_of(5, 4, 3, 2, 1, 0)
    half = Pool(values=pool.values, epoch_s=pool.epoch_s, diverges=np.array([2, 0, 2, 0, 2, 0]))
    order = [0, 2, 4, 5, 3, 1]

    left_out, counted = (replay(half, order, rule, 1) for rule in ("stopping", "stopping+inf"))

    # Three diverge first. Then the best has places in any case; the second passes freely if those are left out.
    assert [trial for _, _, trial in left_out.complete] == [5, 3]
    assert [trial for _, _, trial in counted.complete] == [5]
    assert left_out.epochs > counted.epochs


def test_a_share_of_the_trials_diverges():
    found = with_divergence(pool_of(*range(1000)), np.random.default_rng(0), 0.4)

    assert 0.35 < np.mean(found.diverges > 0) < 0.45
    ended = replay(found, list(range(1000)), "at-once", 4)
    assert measured(found, ended)["regret"] == 0.0
