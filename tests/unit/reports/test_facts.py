"""The numbers by themselves."""

import itertools
from datetime import timedelta

import pytest

from tests.support.reported_sweeps import complete, mixed
from tests.support.rows import BEGAN
from vae_search.reports.facts import busy_share, running_best, thinned, timeline


def test_runs_that_overlap_on_a_node_stand_in_different_slots():
    def run(trial, start_s, end_s, node="a"):
        start, end = BEGAN + timedelta(seconds=start_s), BEGAN + timedelta(seconds=end_s)
        return complete(trial, node_id=node, started_at=start, finished_at=end)

    spans = timeline([run(0, 0, 10), run(1, 5, 8), run(2, 8, 10), run(3, 0, 10, "b")], [])

    assert {span.label: (span.node, span.slot) for span in spans} == {
        "trial 0": ("a", 0),
        "trial 1": ("a", 1),
        "trial 2": ("a", 1),
        "trial 3": ("b", 0),
    }
    assert busy_share(spans) == pytest.approx((10 + 3 + 2 + 10) / 30)


def test_slots_never_hold_two_runs_at_once():
    spans = timeline(mixed(60), [])

    for one, other in itertools.combinations(spans, 2):
        if (one.node, one.slot) == (other.node, other.slot):
            assert one.end_s <= other.start_s or other.end_s <= one.start_s


def test_thinning_keeps_the_best_and_the_order():
    rows = mixed(100)

    kept = thinned(rows, 20)

    assert len(kept) == 20
    assert [row.trial for row in kept] == sorted(row.trial for row in kept)
    assert min(row.objective for row in kept if row.objective) == min(row.objective for row in rows if row.objective)


def test_the_running_best_only_falls():
    values = [value for _, value in running_best(mixed(50), lambda row: row.objective)]

    assert len(values) > 1
    assert values == sorted(values, reverse=True)
