"""What the simulation of contests draws: choices that flatter where they should, and none where they should not."""

import sys

import numpy as np
import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from contest_lives import CONFIG_NATS, IMAGES, JUDGE_IMAGES, RULES, SEED_NATS, World, mean_of, part_of, simulate

from vae_search.registry.promotion.champion_test import welch_over_seeds


def world(seed: int = 0, *, seed_sd: float = 0.2) -> World:
    return World(np.random.default_rng(seed), seed_sd=seed_sd)


def test_errors_of_few_images_are_those_of_all_judge_images():
    drawn = [world(n, seed_sd=0.0).config(seeds=5) for n in range(400)]

    per_image = np.stack([of.neg_iwae for of in drawn[0].testimony.values()])
    other = np.stack([of.neg_iwae for of in drawn[1].testimony.values()])
    found = welch_over_seeds(per_image, other).standard_error
    expected = np.sqrt((2 * CONFIG_NATS**2 + 2 * SEED_NATS**2 / 5) / JUDGE_IMAGES)
    sd_of_means = np.std([mean_of(of) for of in drawn])

    assert per_image.shape == (5, IMAGES)
    assert found == pytest.approx(expected, rel=0.35)  # with the spread of five seeds in it as well
    assert sd_of_means == pytest.approx(np.sqrt((CONFIG_NATS**2 + SEED_NATS**2 / 5) / JUDGE_IMAGES), rel=0.1)


def test_a_choice_by_judge_images_flatters_and_one_by_select_images_does_not():
    means = {
        name: np.mean([mean_of(world(n).winner(rules, finalists=10, seeds=5)) for n in range(800)])
        for name, rules in RULES.items()
    }

    assert means["before"] < -0.05
    assert means["now"] == pytest.approx(0.0, abs=0.012)


def test_a_level_is_the_true_mean():
    assert np.mean([mean_of(world(n).config(seeds=5, level=-0.5)) for n in range(400)]) == pytest.approx(-0.5, abs=0.02)


def test_a_part_keeps_its_seeds_and_an_artifact_among_them():
    whole = world().config(seeds=8)

    part = part_of(whole, range(5, 8))

    assert [*part.testimony] == [5, 6, 7]
    assert part.artifact_seed in (5, 6, 7)


def test_every_study_is_made_for_both_rules():
    report = simulate(seed_sd=0.2, scale=0.004)

    assert {"single_contest_by_finalists", "lives_by_sweeps", "added_seeds_up_to", "defences_by_gain"} <= report.keys()
    assert all({*report[study]} == {*RULES} for study in ("lives_by_sweeps", "added_seeds_up_to"))
