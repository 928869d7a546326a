"""Order of the stored corpus of real curves: the measure against classes given by hand, and the one before it."""

import json
import sys

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from stability_corpus import instability_before, instability_of, ordered_rightly

CORPUS = ROOT / "benchmarks" / "results" / "stability_corpus.json"
CURVES = json.loads(CORPUS.read_text())["curves"]
HEALTHY, SICK = 0, 3


def totals(measure) -> list[float]:
    return [measure(curve) for curve in CURVES]


def test_the_corpus_has_healthy_and_sick_trainings_of_each_class():
    labels = [curve["label"] for curve in CURVES]

    assert len(labels) >= 36
    assert min(labels.count(label) for label in range(4)) >= 6


def test_instability_orders_real_curves_as_they_were_classed_by_hand():
    found, before = (ordered_rightly(CURVES, totals(each)) for each in (instability_of, instability_before))

    assert found >= 0.95
    assert found == pytest.approx(0.969, abs=0.002)  # as docs/concepts/best.md says
    assert before == pytest.approx(0.819, abs=0.002)


def test_instability_tells_healthy_trainings_from_unsteady_ones():
    area = ordered_rightly(CURVES, totals(instability_of), healthy_against_others=True)  # under the ROC curve

    assert area >= 0.95


def test_no_healthy_training_pays_more_than_a_twentieth_of_a_nat_and_every_sick_one_pays_more_than_one():
    assert max(instability_of(curve) for curve in CURVES if curve["label"] == HEALTHY) < 0.05
    assert min(instability_of(curve) for curve in CURVES if curve["label"] == SICK) > 1.0
