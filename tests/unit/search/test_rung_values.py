"""The rung at which a sweep's trials are compared, for the sampler and for importances."""

import pytest
from optuna.samplers._tpe.sampler import default_gamma

from vae_search.search.study.rung_values import END, ENOUGH, RungValues, good_trials


def halved(trials: int, *, rungs: tuple[int, ...] = (3, 9)) -> RungValues:
    """Trial n is the n-th best everywhere; a third of them passes each rung."""
    values = RungValues(rungs)
    for trial in range(trials):
        values.note(trial, 3, 100.0 + trial)
        if trial < trials // 3:
            values.note(trial, 9, 50.0 + trial)
        values.end(trial, 10.0 + trial if trial < trials // 9 else None)
    return values


def enough(values: RungValues) -> tuple[float, list[int]]:
    rung, found = values.highest_with(values.enough)
    return rung, sorted(found)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 64, 249, 250, 251, 10_000])
def test_as_many_trials_are_good_as_optuna_takes_for_good(count):
    assert good_trials(count) == default_gamma(count)


@pytest.mark.parametrize(
    ("trials", "rung"),
    [(10, 3), (3 * ENOUGH - 1, 3), (3 * ENOUGH, 9), (9 * ENOUGH - 1, 9), (9 * ENOUGH, 9), (90, 9), (9 * 27, END)],
)
def test_trials_are_compared_at_the_highest_rung_that_enough_have_reached(trials, rung):
    """72 trials: 8 have completed, and 8 are good ones, so that none would be left to be bad."""
    assert enough(halved(trials))[0] == rung


def test_the_end_is_the_last_rung_and_its_value_the_objective():
    values = RungValues((3,))
    for trial in range(ENOUGH):
        values.note(trial, 3, 5.0)
        values.note(trial, 27, 4.0)  # no rung
        values.end(trial, 4.0 + trial)

    assert values.highest_with(values.enough) == (END, {trial: 4.0 + trial for trial in range(ENOUGH)})


def test_a_sweep_without_rungs_compares_those_that_completed():
    values = RungValues()
    values.note(0, 3, 1.0)
    values.end(1, None)
    values.end(2, 7.0)

    assert values.highest_with(values.enough) == (END, {2: 7.0})


def test_a_running_trial_counts_as_soon_as_it_has_reached_the_rung():
    values = RungValues((3, 9))
    for trial in range(ENOUGH - 1):
        values.note(trial, 3, 1.0)
        values.note(trial, 9, 1.0)
    values.note(20, 3, 0.5)
    before = enough(values)
    values.note(20, 9, 0.5)

    assert before == (3, [*range(ENOUGH - 1), 20])
    assert enough(values) == (9, [*range(ENOUGH - 1), 20])


def test_an_objective_is_the_value_at_the_end_and_at_no_rung():
    values = RungValues((3, 9))
    values.note(0, 3, 5.0)
    values.note(0, 9, 4.0)
    values.end(0, 4.5)
    values.note(1, 3, 1.0)
    values.note(1, 9, 1.0)

    assert values.highest_with(1) == (END, {0: 4.5})
    assert values.highest_with(2) == (9, {0: 4.0, 1: 1.0})


@pytest.mark.parametrize("is_bad", [True, False])
def test_what_a_trial_reached_before_it_failed_is_no_value(is_bad):
    values = RungValues((3,))
    values.note(0, 3, 1.0)

    values.fail(0, is_bad=is_bad)

    assert values.highest_with(1) == (3, {})
    assert values.has(0) is is_bad


def test_noting_again_changes_nothing():
    values = halved(40)
    before = [values.highest_with(count) for count in (1, 8, 20)]

    values.note(39, 3, 139.0)

    assert [values.highest_with(count) for count in (1, 8, 20)] == before


def test_half_of_all_that_were_measured_have_reached_the_first_rung_only():
    values = halved(60)
    for trial in range(60, 200):
        values.fail(trial, is_bad=True)

    assert values.highest_with(values.half)[0] == 3
