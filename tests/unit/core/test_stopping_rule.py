"""Best epoch and patience against plain loops over random curves."""

import numpy as np
import pytest

from vae_search.core.measurements import StoppingRule


def test_the_best_epoch_is_the_first_with_the_least_value():
    rule = StoppingRule(epochs=9, warmup_epochs=0)

    assert rule.best_epoch([3.0, 2.0, 2.5, 2.0]) == 2


def test_an_epoch_after_warm_up_is_preferred_although_one_before_was_better():
    rule = StoppingRule(epochs=9, warmup_epochs=2)

    assert rule.best_epoch([5.0]) == 1
    assert rule.best_epoch([5.0, 1.0]) == 2
    assert rule.best_epoch([5.0, 1.0, 4.0]) == 3
    assert rule.best_epoch([5.0, 1.0, 4.0, 3.0, 3.5]) == 4


def test_an_epoch_that_trained_the_last_bound_is_preferred_to_all_before():
    rule = StoppingRule(epochs=9, warmup_epochs=1, elbo_epochs=3)

    assert rule.best_epoch([0.0, 5.0, 4.0]) == 3
    assert rule.best_epoch([0.0, 5.0, 4.0, 9.0]) == 4
    assert rule.best_epoch([0.0, 5.0, 4.0, 9.0, 8.0, 8.5]) == 5


def test_a_warm_up_that_reaches_into_the_last_bound_counts_there_as_well():
    rule = StoppingRule(epochs=9, warmup_epochs=4, elbo_epochs=2)

    assert [rule.best_epoch([5.0, 4.0, 1.0, 2.0, 3.0][:done]) for done in (2, 3, 4, 5)] == [2, 3, 3, 5]


def test_no_epoch_is_the_best_of_none():
    with pytest.raises(ValueError, match="empty"):
        StoppingRule(epochs=9, warmup_epochs=2).best_epoch([])


def test_without_patience_only_the_limit_ends_a_training():
    rule = StoppingRule(epochs=9, warmup_epochs=0)

    assert [rule.ends_at(epoch, best_epoch=1) for epoch in (1, 8, 9)] == [False, False, True]


def test_patience_does_not_count_before_enough_evaluations_after_warm_up():
    rule = StoppingRule(epochs=99, warmup_epochs=3, patience=1, evaluations=12)

    assert [rule.ends_at(epoch, best_epoch=4) for epoch in (5, 14, 15)] == [False, False, True]


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_a_training_ends_where_a_loop_with_a_counter_would_end_it(patience):
    random = np.random.default_rng(patience)
    for _ in range(200):
        warmup, limit = int(random.integers(0, 4)), int(random.integers(6, 40))
        curve = random.normal(size=limit).round(1).tolist()  # with ties
        rule = StoppingRule(epochs=limit, warmup_epochs=warmup, patience=patience, evaluations=3)

        best, since, expected = float("inf"), 0, limit
        for epoch, value in enumerate(curve, start=1):
            if epoch <= warmup:
                continue
            best, since = (value, 0) if value < best else (best, since + 1)
            if since >= patience and epoch - warmup >= 3:
                expected = epoch
                break

        ends = [
            epoch for epoch in range(1, limit + 1) if rule.ends_at(epoch, best_epoch=rule.best_epoch(curve[:epoch]))
        ]
        assert ends[0] == expected
