import pytest

from vae_search.search.pruning import decide, rung_epochs
from vae_search.spec.sections import Pruning


def test_rungs_grow_by_the_reduction_factor_and_stay_below_the_last_epoch():
    assert rung_epochs(Pruning(min_epochs=5, reduction_factor=3), budget_epochs=45) == (5, 15)
    assert rung_epochs(Pruning(min_epochs=5, reduction_factor=3), budget_epochs=46) == (5, 15, 45)
    assert rung_epochs(Pruning(min_epochs=9, reduction_factor=3), budget_epochs=9) == ()
    assert rung_epochs(None, budget_epochs=45) == ()


def test_the_first_trials_at_a_rung_advance_however_bad():
    assert decide(99.0, [99.0], reduction_factor=3).advance
    assert decide(99.0, [1.0, 99.0], reduction_factor=3).advance


@pytest.mark.parametrize(
    ("value", "recorded", "advance"),
    [
        (1.0, [1.0, 2.0, 3.0], True),
        (2.0, [1.0, 2.0, 3.0], False),
        (2.0, [1.0, 2.0, 3.0, 4.0, 5.0], False),
        (2.0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], True),
        (3.0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], False),
    ],
)
def test_a_trial_advances_if_it_is_in_the_best_third(value, recorded, advance):
    decision = decide(value, recorded, reduction_factor=3)

    assert decision.advance is advance
    assert f"of {len(recorded)}" in decision.reason


def test_equal_values_are_treated_alike():
    assert decide(1.0, [1.0, 1.0, 1.0], reduction_factor=3).advance
