import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from tests.support.networks import binary, description, weights
from vae_search.core.image_bounds import ImageBounds
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import JudgeTask
from vae_search.vae.inference.scoring import judge, latent_free_baseline
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.likelihoods import Bernoulli

pytestmark = pytest.mark.needs_tensorflow

DESCRIBED = description()


@pytest.fixture(scope="module")
def judge_task() -> JudgeTask:
    return JudgeTask(images=binary(60), pixels=binary_pixels(np.linspace(0, 1, 13 * 7).reshape(13, 7, 1)))


def binary_pixels(mean: np.ndarray) -> PixelStatistics:
    mean = mean.astype(np.float32)
    return PixelStatistics(levels=2, mean=mean, variance=mean * (1 - mean), lowest=1 - mean, highest=mean)


@pytest.fixture(scope="module")
def bounds(judge_task) -> ImageBounds:
    return judge(weights(DESCRIBED), DESCRIBED, judge_task, iwae_samples=30)


def test_bounds_hold_what_the_evaluator_says_of_each_image(bounds, judge_task):
    evaluator, arrays = Evaluator.of(DESCRIBED), list(weights(DESCRIBED).values())
    distortion, rate = evaluator.neg_elbo(arrays, judge_task.images)

    assert bounds.distortion.mean() == pytest.approx(distortion, rel=1e-6)
    assert bounds.rate.mean() == pytest.approx(rate, rel=1e-6)
    np.testing.assert_array_equal(bounds.iwae, evaluator.iwae(arrays, judge_task.images, 30))
    np.testing.assert_array_equal(bounds.neg_elbo, bounds.distortion + bounds.rate)
    assert bounds.iwae_k == 30
    assert {array.dtype for array in vars_of(bounds)} == {np.dtype(np.float64)}


def test_the_bound_of_many_samples_lies_above_the_elbo(bounds):
    gain = bounds.iwae + bounds.neg_elbo

    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain)) > 0


def test_judging_again_gives_the_same_bits(bounds, judge_task):
    again = judge(weights(DESCRIBED), DESCRIBED, judge_task, iwae_samples=30)

    for first, second in zip(vars_of(bounds), vars_of(again), strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_image_is_judged_the_same_in_a_smaller_set(bounds, judge_task):
    fewer = JudgeTask(images=judge_task.images[:20], pixels=judge_task.pixels)

    part = judge(weights(DESCRIBED), DESCRIBED, fewer, iwae_samples=30)

    np.testing.assert_array_equal(part.iwae, bounds.iwae[:20])
    np.testing.assert_array_equal(part.neg_elbo, bounds.neg_elbo[:20])


def test_the_baseline_is_scipys_bernoulli_with_clipped_means(judge_task):
    mean = np.clip(judge_task.pixels.mean.astype(np.float64), 0.001, 0.999)
    expected = -stats.bernoulli.logpmf(judge_task.images, mean).sum(axis=(1, 2, 3))

    found = latent_free_baseline(judge_task, Bernoulli())

    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_pixel_that_training_never_lit_costs_seven_nats_and_not_infinity():
    dark, lit = np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 4, 4, 1), np.uint8)
    lit[0, 2, 2] = 1
    task = JudgeTask(images=np.concatenate([dark, lit]), pixels=binary_pixels(np.zeros((4, 4, 1))))

    costs = latent_free_baseline(task, Bernoulli())

    assert costs[0] == pytest.approx(16 * 0.001, rel=1e-3)
    assert costs[1] - costs[0] == pytest.approx(np.log(999), rel=1e-5)


def test_weights_of_another_network_are_refused(judge_task):
    with pytest.raises(ValueError, match="names and shapes"):
        judge(weights(description(width=8)), DESCRIBED, judge_task)


def test_reading_bounds_needs_no_tensorflow():
    code = "import sys, vae_search.vae.inference.scoring; print({'tensorflow', 'keras'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def vars_of(bounds: ImageBounds) -> list[np.ndarray]:
    return [getattr(bounds, field.name) for field in dataclasses.fields(bounds) if field.name != "iwae_k"]
