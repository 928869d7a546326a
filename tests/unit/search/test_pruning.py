"""Rule of the rungs; the worked example follows algorithm 2 of (Li et al. 2020)."""

import math
from pathlib import Path

import pytest

from vae_search.search.pruning import SuccessiveHalving, decide, rung_epochs
from vae_search.spec.sections import Pruning
from vae_search.spec.sweep_spec import parse_spec


def test_rungs_grow_by_the_reduction_factor_and_stay_below_the_last_epoch():
    assert rung_epochs(Pruning(min_epochs=5, reduction_factor=3), budget_epochs=45) == (5, 15)
    assert rung_epochs(Pruning(min_epochs=5, reduction_factor=3), budget_epochs=46) == (5, 15, 45)
    assert rung_epochs(Pruning(min_epochs=9, reduction_factor=3), budget_epochs=9) == ()
    assert rung_epochs(None, budget_epochs=45) == ()


@pytest.mark.parametrize(
    ("value", "recorded", "advance"),
    [
        (1.0, [1.0, 2.0], False),  # ⌊2/3⌋ = 0: nobody has a place yet, not even the best
        (1.0, [1.0, 2.0, 3.0], True),
        (2.0, [1.0, 2.0, 3.0], False),
        (2.0, [1.0, 2.0, 3.0, 4.0, 5.0], False),
        (2.0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], True),
        (3.0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], False),
        (2.0, [1.0, 2.0, 3.0, 4.0, math.inf, math.inf], True),
    ],
)
def test_a_trial_advances_if_it_is_in_the_best_third_of_all_that_came_or_diverged_before(value, recorded, advance):
    decision = decide(value, recorded, reduction_factor=3)

    assert decision.advance is advance
    assert f"of {len(recorded)}" in decision.reason


def test_equal_values_are_treated_alike():
    assert decide(1.0, [1.0, 1.0, 1.0], reduction_factor=3).advance


def test_a_trial_is_hopeless_once_it_is_behind_the_places_of_the_whole_budget():
    recorded = [1.0, 2.0, 3.0, 4.0]

    hopeless = [decide(value, recorded, reduction_factor=3, trials=9).hopeless for value in recorded]

    assert hopeless == [False, False, False, True]


def rungs_of(trials: int = 9) -> SuccessiveHalving:
    text = f"""
name: rungs
data: {{source: digits}}
search_space: {{latent_dim: {{type: int, low: 2, high: 60}}}}
budget: {{trials: {trials}, epochs: 10}}
pruning: {{min_epochs: 1, reduction_factor: 3}}
"""
    return SuccessiveHalving(parse_spec(text, base=Path()))


def note(rungs: SuccessiveHalving, epoch: int, **values: float) -> None:
    for trial, value in values.items():
        rungs.note(epoch, int(trial[1:]), value, epoch_flops=None)


def test_the_worked_example_of_algorithm_2():
    """Nine configs, rungs after 1, 3 and 9 epochs, one worker: `get_job` asked after each job, by hand.

    rung 0: 5 4 6 | 3 7 8 | 2 1 9, by trial. ⌊n/3⌋ places after 3, 6 and 9 values.
    """
    rungs = rungs_of()
    assert rungs.epochs == (1, 3, 9)
    note(rungs, 1, t0=5.0, t1=4.0)
    assert rungs.promotable([(1, 0), (1, 1)]) is None  # two values, no place
    note(rungs, 1, t2=6.0)
    assert rungs.promotable([(1, 0), (1, 1), (1, 2)]) == (1, 1)  # the best of three
    rungs.promote(1, 1)
    note(rungs, 3, t1=3.5)
    waiting = [(1, 0), (1, 2), (3, 1)]
    assert rungs.promotable(waiting) is None  # one value at the second rung; the first has no further place
    note(rungs, 1, t3=3.0, t4=7.0, t5=8.0)
    waiting += [(1, 3), (1, 4), (1, 5)]
    assert rungs.promotable(waiting) == (1, 3)  # places: 3 and 1, and 1 has gone on
    rungs.promote(1, 3)
    note(rungs, 3, t3=2.5)
    note(rungs, 1, t6=2.0, t7=1.0, t8=9.0)
    waiting = [(1, 0), (1, 2), (3, 1), (3, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8)]
    assert rungs.promotable(waiting) == (1, 7)  # three places: 7, 6 and 3; the best of those that wait
    rungs.promote(1, 7)
    note(rungs, 3, t7=0.9)
    waiting = [place for place in waiting if place != (1, 7)] + [(3, 7)]
    assert rungs.promotable(waiting) == (3, 7)  # three values at the second rung: the highest rung comes first
    rungs.promote(3, 7)
    assert rungs.promotable([place for place in waiting if place != (3, 7)]) == (1, 6)


def test_a_place_that_was_given_is_kept_whoever_comes():
    rungs = rungs_of()
    note(rungs, 1, t0=5.0, t1=6.0, t2=7.0)
    rungs.promote(1, 0)
    note(rungs, 1, t3=1.0, t4=2.0)

    assert rungs.decide(1, 0).advance


def test_a_trial_that_diverged_counts_as_the_worst_at_the_next_rung_alone():
    rungs = rungs_of()
    note(rungs, 1, t0=5.0, t1=6.0)
    rungs.note_diverged(0, 2, epoch_flops=None)

    assert rungs.decide(1, 0).reason == "rank 1 of 3, within the best 1"
    note(rungs, 3, t0=4.0)
    assert rungs.decide(3, 0).reason == "rank 1 of 1, behind the best 0"
    rungs.note_diverged(1, 1, epoch_flops=None)
    assert rungs.decide(3, 0).reason == "rank 1 of 2, behind the best 0"


def test_the_last_that_are_left_have_one_place_each_rung():
    rungs = rungs_of(2)
    note(rungs, 1, t0=5.0, t1=6.0)

    assert rungs.promotable([(1, 0), (1, 1)]) is None
    assert rungs.promotable([(1, 0), (1, 1)], least=1) == (1, 0)


@pytest.mark.parametrize(("finalists", "places"), [(0, 2), (1, 2), (3, 3), (50, 3)])
def test_in_the_end_each_rung_has_places_for_the_finalists(finalists, places):
    text = f"""
name: small
data: {{source: digits}}
search_space: {{latent_dim: 4}}
budget: {{trials: 8, epochs: 6}}
pruning: {{min_epochs: 2, reduction_factor: 3}}
confirm: {{finalists: {finalists}}}
"""
    halving = SuccessiveHalving(parse_spec(text, base=Path()))
    for trial in range(8):
        halving.note(2, trial, float(trial), epoch_flops=None)

    now = [halving.decide(2, trial) for trial in range(8)]
    in_the_end = [halving.decide(2, trial, least=halving.least_in_the_end) for trial in range(8)]

    assert [decision.advance for decision in now] == [True] * 2 + [False] * 6
    assert [decision.advance for decision in in_the_end] == [True] * places + [False] * (8 - places)
    assert [decision.hopeless for decision in now] == [False] * places + [True] * (8 - places)
