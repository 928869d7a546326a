"""What the study of rungs measures, on curves whose answer is known."""

import sys

import numpy as np
import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from rung_study import EPOCHS, RUNGS, measures, study_arm


def test_a_rung_that_ranks_as_the_end_does_recalls_everything_and_regrets_nothing():
    final = np.random.default_rng(0).normal(240, 5, 30)

    assert measures(final + 20, final) == (pytest.approx(1.0), 1.0, 0.0)


def test_a_rung_that_ranks_the_other_way_round_recalls_nothing():
    final = np.arange(30.0)

    tau, recall, regret = measures(-final, final)

    assert (tau, recall) == (pytest.approx(-1.0), 0.0)
    assert regret == 29.0


@pytest.mark.slow
def test_noise_that_fades_makes_later_rungs_better():
    rng = np.random.default_rng(1)
    final = rng.normal(240, 5, 64)
    noise = rng.normal(0, 1, (64, 2, EPOCHS)) * np.linspace(20, 0, EPOCHS)
    curves = final[:, None, None] + noise

    found = study_arm(curves)

    assert [entry["epoch"] for entry in found] == list(RUNGS)
    assert found[0]["tau"]["value"] < found[-1]["tau"]["value"]
    assert all(entry["recall"]["low"] <= entry["recall"]["high"] for entry in found)
