"""The gate on seeds where images are few: what their number explains passes, and what the seeds differ by does not."""

import numpy as np
import pytest

from tests.support.candidates import FACTS, finalist_row
from vae_search.core.image_bounds import ImageBounds
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateResult
from vae_search.registry.promotion.gates import judge
from vae_search.registry.promotion.training_gates import noise_of_seed_means

BOUND = 60_000.0  # nats of a colour picture of 64×64; its least gain is 30
AMONG_IMAGES, BY_CHANCE = 8_000.0, 700.0  # deviations over images, and of what a seed makes of one image


def colour_seeds(images: int, seeds: int, *, between: float, rng: np.random.Generator) -> np.ndarray:
    """(seeds, images) values of -log p(x) whose seeds truly differ with the deviation `between`."""
    difficulty = rng.normal(0.0, AMONG_IMAGES, images)
    own = rng.normal(0.0, between, (seeds, 1))
    return BOUND + difficulty + own + rng.normal(0.0, BY_CHANCE, (seeds, images))


def verdict(values: np.ndarray) -> GateResult:
    def bounds(of: np.ndarray) -> ImageBounds:
        rate = np.full(of.shape, 300.0)
        return ImageBounds(distortion=of, rate=rate, iwae=-of, baseline=of + 10_000.0, iwae_k=500)

    numbers = range(1, len(values) + 1)
    found = Candidate(
        rows=tuple(finalist_row(0, number) for number in numbers),
        bounds={number: bounds(of) for number, of in zip(numbers, values, strict=True)},
    )
    return {of.name: of for of in judge(found, FACTS, {})}["seed_spread"]


def share_that_passes(images: int, *, between: float, seeds: int = 3, draws: int = 200) -> float:
    rng = np.random.default_rng(images)
    return float(np.mean([verdict(colour_seeds(images, seeds, between=between, rng=rng)).passed for _ in range(draws)]))


def test_equal_seeds_pass_although_forty_images_tell_them_apart_by_more_than_the_least_gain():
    assert share_that_passes(41, between=0.0) > 0.95  # 97.8 % by the F distribution with 2 and 80 degrees of freedom


@pytest.mark.parametrize("images", [41, 5_000])
def test_seeds_that_differ_by_a_sixtieth_of_the_bound_hardly_pass_whatever_the_number_of_images(images):
    assert share_that_passes(images, between=1_000.0, draws=60) < 0.05


def test_many_images_explain_nothing_that_counts():
    assert "explain" not in verdict(colour_seeds(5_000, 3, between=0.0, rng=np.random.default_rng(0))).explanation


def test_one_of_three_seeds_that_fell_back_to_the_baseline_is_refused():
    values = colour_seeds(41, 3, between=0.0, rng=np.random.default_rng(1))
    values[2] += np.random.default_rng(2).normal(8_000.0, 5_000.0, 41)  # worse by most of the span, in some images more

    assert not verdict(values).passed


def test_the_noise_is_that_of_a_two_way_layout():
    """Against the deviation of means of many draws: seeds of one truth, whose images share their difficulty."""
    rng = np.random.default_rng(3)
    means = [colour_seeds(41, 1, between=0.0, rng=rng).mean() for _ in range(2_000)]
    draws = [colour_seeds(41, 3, between=0.0, rng=rng) for _ in range(300)]

    found = np.mean([noise_of_seed_means(values) ** 2 for values in draws]) ** 0.5

    assert found == pytest.approx(2 * BY_CHANCE / np.sqrt(41 * 3), rel=0.03)
    assert np.std(means) > 5 * found / 2  # that of images, which all seeds share, is no part of it


def test_one_seed_or_one_image_has_no_noise_to_tell():
    assert noise_of_seed_means(np.zeros((1, 40))) == noise_of_seed_means(np.zeros((3, 1))) == 0.0
