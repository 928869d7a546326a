"""Time that a sweep's budget is measured in: it runs while a trial does."""

import math

from vae_search.search.control.driver_time import DriverTime


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_waiting_for_slots_costs_nothing():
    clock = Clock()
    time = DriverTime(0.5, monotonic=clock)

    clock.now_s += 600  # another sweep has all slots
    assert (time.progress().driver_s, time.left_s()) == (0.0, 30.0)

    time.tick(training=True)
    clock.now_s += 10
    time.tick(training=True)  # a second trial begins
    clock.now_s += 5
    assert time.left_s() == 15.0

    time.tick(training=False)
    clock.now_s += 600
    assert time.left_s() == 15.0

    time.tick(training=True)
    clock.now_s += 20
    assert time.left_s() == -5.0


def test_what_earlier_drivers_used_counts():
    clock = Clock()
    time = DriverTime(0.5, monotonic=clock)
    time.before_s = 20.0

    time.tick(training=True)
    clock.now_s += 4

    assert time.left_s() == 6.0
    assert time.progress().driver_s == 4.0  # of this driver alone


def test_without_a_budget_there_is_no_end():
    assert DriverTime(None).left_s() == math.inf
