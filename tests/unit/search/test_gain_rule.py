"""Stop of a search: it keeps its confidence where the tail is exponential, and needs enough values to say anything."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from vae_search.search.limits.gain_rule import _chi_square_quantile, forecast_gain
from vae_search.spec.parts.gain_stop import GainStop

RULE = GainStop(gain_nats=0.5, confidence=0.95)


def draws(seed: int, count: int, scale: float) -> np.ndarray:
    """Values whose lower tail is exponential, without an end."""
    return 100.0 - np.random.default_rng(seed).exponential(scale, count)


def stops(values: np.ndarray, rest: np.ndarray, rule: GainStop) -> bool:
    found = forecast_gain(dict(enumerate(values)), tried=len(values), trials=len(values) + len(rest), rule=rule)
    return found is not None and found.is_over(rule)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_of_searches_that_stop_no_more_gain_than_the_confidence_allows(confidence):
    rule = GainStop(gain_nats=0.5, confidence=confidence)
    stopped = gained = 0
    for seed in range(600):
        values, rest = np.split(draws(seed, 120, scale=0.12), [80])
        if stops(values, rest, rule):
            stopped += 1
            gained += rest.min() < values.min() - rule.gain_nats

    assert stopped > 100
    assert gained <= (1 - confidence) * stopped


def test_a_search_with_much_to_gain_goes_on():
    values, rest = np.split(draws(1, 120, scale=5.0), [80])

    assert not stops(values, rest, RULE)


def test_nothing_is_said_before_enough_trials_have_completed():
    few = dict.fromkeys(range(5), 100.0)

    assert forecast_gain(few, tried=5, trials=50, rule=RULE) is None


def test_equal_values_leave_nothing_to_gain():
    found = forecast_gain(dict.fromkeys(range(20), 100.0), tried=20, trials=50, rule=RULE)

    assert found.chance == 0


def test_what_is_left_makes_the_chance_larger():
    values = dict(enumerate(draws(2, 60, scale=0.3)))

    chances = [forecast_gain(values, tried=60, trials=60 + left, rule=RULE).chance for left in (0, 10, 100)]

    assert chances[0] == 0
    assert chances[0] < chances[1] < chances[2]


def test_a_gain_over_the_best_of_all_is_rarer_than_over_the_best_of_the_later_half():
    late = dict(enumerate(draws(3, 60, scale=0.3)))
    with_early_best = late | {0: min(late.values()) - 1.0}

    before, after = (forecast_gain(values, tried=60, trials=100, rule=RULE) for values in (late, with_early_best))

    assert after.chance < before.chance


@pytest.mark.parametrize(
    ("probability", "degrees", "exact"), [(0.05, 6, 1.6354), (0.05, 10, 3.9403), (0.2, 20, 14.578)]
)
def test_the_quantile_agrees_with_tables(probability, degrees, exact):
    """Exact ones from tables of the chi-square distribution."""
    assert _chi_square_quantile(probability, degrees) == pytest.approx(exact, rel=0.01)


def test_the_chance_is_the_formula_of_the_docstring():
    values = {trial: 100.0 + trial / 100 for trial in range(40)}
    found = forecast_gain(values, tried=40, trials=80, rule=RULE)

    tail = 10  # half of the later half; its values are 100.20 … 100.39
    excess = sum(0.10 - 0.01 * place for place in range(tail)) / tail
    spread = 2 / (9 * 2 * tail)
    quantile = 2 * tail * (1 - spread + NormalDist().inv_cdf(0.05) * math.sqrt(spread)) ** 3
    share = math.exp(-(0.5 + 0.2) / (excess * 2 * tail / quantile))
    assert found.chance == pytest.approx(40 * share / (20 + 40 * share))
