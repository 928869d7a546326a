"""Replays with an earlier first rung, on curves whose answer is known."""

import sys

import numpy as np
import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from first_rung import compared, drawn, interval, rungs_from
from rung_rules import Pool


def pool_of(values: np.ndarray) -> Pool:
    """Trainings that take one second an epoch."""
    return Pool(values=values, epoch_s=np.ones(len(values)), diverges=np.zeros(len(values), int))


def test_rungs_end_before_the_last_epoch():
    assert rungs_from(1, 27) == (1, 3, 9)
    assert rungs_from(9, 81) == (9, 27)
    assert rungs_from(27, 27) == ()


def test_curves_that_never_cross_lose_nothing_by_an_early_rung_and_cost_less():
    finals = np.repeat(np.arange(30.0), 2)
    found = compared(pool_of(finals[:, None] + np.linspace(10, 0, 27)), 24, repeats=20)

    assert found["regret_added"] == {"value": 0.0, "interval": [0.0, 0.0]}
    assert found["ratios"]["cpu_s"]["interval"][1] < 0.8


def test_curves_that_cross_after_the_early_rung_lose_by_it():
    finals = np.repeat(np.arange(30.0), 2)[:, None]
    curves = np.where(np.arange(1, 28) < 3, -finals, finals) + 0.0  # after one epoch the worst lead
    found = compared(pool_of(curves), 24, repeats=20)

    assert found["late"]["regret"] == 0.0
    assert found["regret_added"]["interval"][0] > 5.0


@pytest.mark.parametrize(("size", "most"), [(3, 1), (6, 1), (14, 3)])
def test_a_sweep_takes_other_configs_before_it_takes_a_training_again(size, most):
    pool = pool_of(np.arange(6.0)[:, None] * np.ones(27))

    taken = drawn(pool, size, np.random.default_rng(0)).values[:, 0]
    counts = np.bincount(taken.astype(int), minlength=6)

    assert (len(taken), counts.max()) == (size, most)
    if size == 3:  # each config with one of its seeds
        assert sorted(taken // 2) == [0, 1, 2]
    else:
        assert counts.min() >= size // 6


def test_the_interval_of_a_ratio_is_over_pairs():
    late = np.linspace(1, 100, 50)

    assert interval(late * 0.5, late) == pytest.approx([0.5, 0.5])
