"""Speed of configs from those that were timed: each family has its own factor."""

import pytest

from vae_search.search.planning.plan_record import interleaved
from vae_search.search.planning.speed import ConfigCost, Timing, speed_of


def timing(family: str, flops: float, epoch_s: float) -> Timing:
    return Timing(cost=ConfigCost(family=family, epoch_flops=flops), epoch_s=epoch_s, judge_s=2 * epoch_s)


def test_a_config_takes_what_its_family_takes_for_an_operation():
    costs = [ConfigCost(family="mlp", epoch_flops=10.0), ConfigCost(family="conv", epoch_flops=10.0)]

    speed = speed_of([timing("mlp", 5.0, 1.0), timing("conv", 5.0, 3.0)], costs)

    assert speed.epoch_s == pytest.approx((2.0 + 6.0) / 2)
    assert speed.judge_epochs == pytest.approx(2.0)


def test_a_family_that_was_not_timed_is_taken_to_be_as_fast_as_the_others():
    assert speed_of([timing("mlp", 5.0, 1.0)], [ConfigCost(family="conv", epoch_flops=10.0)]).epoch_s == 2.0


def test_finalists_are_taken_to_be_costly():
    costs = [ConfigCost(family="mlp", epoch_flops=float(flops)) for flops in range(1, 9)]

    speed = speed_of([timing("mlp", 1.0, 1.0)], costs)

    assert (speed.epoch_s, speed.slow_epoch_s) == (4.5, 6.0)


def test_nothing_is_known_where_nothing_was_timed():
    with pytest.raises(ValueError, match="timed"):
        speed_of([], [ConfigCost(family="mlp", epoch_flops=1.0)])


def test_the_first_configs_to_be_timed_are_of_all_families():
    configs = [{"architecture": name, "n": n} for n, name in enumerate(["mlp", "mlp", "mlp", "conv"])]

    assert [config["n"] for config in interleaved(configs)] == [0, 3, 1, 2]
