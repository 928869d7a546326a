"""What the study of Pareto pruning counts, on sweeps whose answer is known."""

import math
import sys

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from pareto_pruning import compared, finite, median_and_interval, reached_s, summary

REFERENCE = (10.0, 10.0)
CUT = (1.0, None, None)
POOR, GOOD = (4.0, 8.0, 8.0), (4.0, 2.0, 5.0)  # areas of 4 and 40


def test_the_clock_of_a_sweep_stops_where_it_first_has_its_last_front():
    whole = [POOR, GOOD, POOR]  # after 8 of 12 CPU seconds
    pruned = [CUT, GOOD, CUT]  # after 5 of 6

    found = compared({"whole": whole, "pruned": pruned}, REFERENCE, trials=3)

    assert found["target"] == 40.0
    assert found["whole_cpu_s"] == 8.0
    assert found["ratio"] == found["ratio_further"] == 5 / 8
    assert found["cpu_share"] == 6 / 12
    assert found["volume_share"] == 1.0
    assert found["volume_share_whole_meanwhile"] == 4 / 40  # after its first trial, at 4 CPU seconds


def test_what_only_further_trials_reach_is_not_reached_with_the_same_budget():
    found = compared({"whole": [GOOD, POOR], "pruned": [CUT, POOR, GOOD]}, REFERENCE, trials=2)

    assert (found["ratio"], found["ratio_further"]) == (math.inf, 9 / 4)
    assert (found["volume_share"], found["volume_share_further"]) == (4 / 40, 1.0)
    assert summary([found])["ratio"] == {"median": None, "low": None, "high": None, "reached": 0, "of": 1}


def test_a_median_of_values_of_which_some_are_infinite():
    middle, low, high = median_and_interval([0.2, 0.4, 0.3, math.inf, 0.5])

    assert middle == 0.4
    assert 0.2 <= low <= 0.4 <= high
    assert finite(high) is None


def test_a_volume_is_reached_by_whoever_equals_it():
    assert reached_s(([1.0, 2.0], [3.0, 5.0]), 5.0) == 2.0
    assert reached_s(([1.0, 2.0], [3.0, 5.0]), 5.1) == pytest.approx(math.inf)
