"""Bounds and effective sample sizes from one pass over draws, against other routes to the same numbers."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tests.support.networks import binary, description, weights
from vae_search.vae.networks.forward import WeightedNetwork
from vae_search.vae.networks.network import build
from vae_search.vae.objective.bounds import log_importance_weights
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.importance_ladder import _Sums, importance_ladder
from vae_search.vae.objective.likelihoods import Bernoulli
from vae_search.vae.objective.pixels import as_intensities

pytestmark = pytest.mark.needs_tensorflow

DESCRIBED = description()
IMAGES = binary(60)
WEIGHTS = {name: 0.5 * array for name, array in weights(DESCRIBED).items()}  # the bound of larger ones is too loose


@pytest.fixture(scope="module")
def steps():
    return importance_ladder(WEIGHTS, DESCRIBED, IMAGES, (5, 40, 400))


def test_its_bounds_are_those_of_the_evaluator_within_their_noise(steps):
    evaluator, arrays = Evaluator.of(DESCRIBED), list(WEIGHTS.values())
    for step in steps[1:]:
        expected = evaluator.iwae(arrays, IMAGES, step.k)

        assert -step.neg_iwae == pytest.approx(expected.mean(), abs=0.05)


def test_the_bound_rises_with_k_by_the_gain_that_it_says(steps):
    first, second, third = steps

    assert first.neg_iwae > second.neg_iwae > third.neg_iwae
    assert (first.gain, first.gain_standard_error) == (0.0, 0.0)
    assert second.gain == pytest.approx(first.neg_iwae - second.neg_iwae)
    assert third.gain == pytest.approx(second.neg_iwae - third.neg_iwae)
    assert second.gain_standard_error > 0


def test_effective_sizes_are_kongs_of_the_same_model_with_other_draws(steps):
    network = build(DESCRIBED.network)
    functions = WeightedNetwork(
        topology=network.topology, weights=[tf.constant(array) for array in network.ordered(WEIGHTS)]
    )
    noise = tf.random.stateless_normal([400, len(IMAGES), DESCRIBED.network.latent_dim], [9, 9])
    logs = log_importance_weights(
        functions, as_intensities(tf.constant(IMAGES), 2), noise, clamp=DESCRIBED.clamp, likelihood=Bernoulli()
    ).numpy()
    normed = special.softmax(logs.astype(np.float64), axis=0)
    expected = 1 / np.sum(normed**2, axis=0)

    assert steps[-1].effective_size == pytest.approx(expected.mean(), rel=0.1)
    assert steps[-1].low_effective_size == pytest.approx(np.quantile(expected, 0.05), rel=0.5)
    assert all(1 <= step.low_effective_size <= step.effective_size <= step.k for step in steps)


def test_equal_weights_count_each_draw_and_one_giant_counts_once():
    equal, giant = _Sums.of_none(1), _Sums.of_none(1)
    equal.add(np.full((30, 1), -800.0))
    giant.add(np.concatenate([np.full((29, 1), -800.0), [[0.0]]]))

    assert equal.effective_size[0] == pytest.approx(30.0)
    assert giant.effective_size[0] == pytest.approx(1.0)


def test_the_same_weights_give_the_same_ladder(steps):
    assert importance_ladder(WEIGHTS, DESCRIBED, IMAGES, (5, 40, 400)) == steps
