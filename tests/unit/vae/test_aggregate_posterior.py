"""Mutual information and marginal KL against closed forms and independent estimates."""

import tracemalloc

import numpy as np
import pytest
from scipy import special, stats

from vae_search.vae.objective.aggregate_posterior import DRAWS, aggregate_posterior, log_mixture_density


def kl_of(mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
    return 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance)


def linear_gaussian(images: int, *, slope: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors N(slope · x, deviation²) of x ~ N(0, 1) in each dimension, so that q(z) is Gaussian as well."""
    x = np.random.default_rng(0).standard_normal((images, len(slope)))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x * slope, np.broadcast_to(2 * np.log(deviation), x.shape)


@pytest.mark.parametrize(
    ("slope", "deviation"),
    [([0.9, 0.6], [0.5, 0.8]), ([2.0], [0.7]), ([0.3, 0.3, 0.3], [1.1, 0.9, 1.0])],
)
def test_a_linear_gaussian_code_has_its_closed_form(slope, deviation):
    slope, deviation = np.array(slope), np.array(deviation)
    mean, log_variance = linear_gaussian(8000, slope=slope, deviation=deviation)
    variance = slope**2 + deviation**2
    information = 0.5 * np.log(variance / deviation**2).sum()
    marginal = 0.5 * (variance - 1 - np.log(variance)).sum()

    found = aggregate_posterior(mean, log_variance, kl_of(mean, log_variance))

    assert found.mutual_information == pytest.approx(information, abs=4 * found.standard_error)
    assert found.marginal_kl == pytest.approx(marginal, abs=4 * found.standard_error + 0.01)
    assert found.standard_error < 0.03


def test_its_parts_add_up_to_the_rate_by_an_estimate_that_shares_no_draw():
    rng = np.random.default_rng(3)
    mean, log_variance = rng.normal(0.0, 1.2, (700, 5)), rng.normal(-1.5, 0.4, (700, 5))
    kl = kl_of(mean, log_variance)
    draws = np.tile(np.arange(700), 20)
    latents = mean[draws] + np.exp(0.5 * log_variance[draws]) * rng.standard_normal((len(draws), 5))
    terms = log_mixture_density(latents, mean, log_variance) - stats.norm.logpdf(latents).sum(axis=1)

    found = aggregate_posterior(mean, log_variance, kl)

    error = np.hypot(found.standard_error, terms.std() / np.sqrt(len(terms)))
    assert found.marginal_kl == pytest.approx(terms.mean(), abs=4 * error)
    assert found.mutual_information + found.marginal_kl == pytest.approx(kl.sum(axis=1).mean())


def test_the_density_of_a_mixture_is_scipys():
    rng = np.random.default_rng(4)
    latents, means, log_variances = rng.normal(size=(6, 3)), rng.normal(size=(9, 3)), rng.normal(-6, 2, (9, 3))
    each = stats.norm.logpdf(latents[:, None], means, np.exp(0.5 * log_variances)).sum(axis=2)

    found = log_mixture_density(latents, means, log_variances)

    np.testing.assert_allclose(found, special.logsumexp(each, axis=1) - np.log(9), rtol=1e-9)


def test_a_collapsed_code_carries_nothing():
    nothing = np.zeros((150, 8), np.float32)

    found = aggregate_posterior(nothing, nothing, nothing)

    assert found.mutual_information == pytest.approx(0.0, abs=1e-9)
    assert found.marginal_kl == pytest.approx(0.0, abs=1e-9)


def test_a_code_that_is_there_and_says_nothing_has_a_marginal_kl_alone():
    """All images have the same posterior far from the prior: the rate is high, and nothing tells images apart."""
    mean, log_variance = np.full((200, 3), 2.0), np.full((200, 3), -3.0)
    kl = kl_of(mean, log_variance)

    found = aggregate_posterior(mean, log_variance, kl)

    assert found.mutual_information == pytest.approx(0.0, abs=1e-9)
    assert found.marginal_kl == pytest.approx(kl[0].sum())


def test_posteriors_that_never_meet_reach_the_limit_of_log_n_and_no_more():
    mean = np.arange(300.0)[:, None]
    log_variance = np.full_like(mean, -6.0)

    found = aggregate_posterior(mean, log_variance, kl_of(mean, log_variance))

    assert found.mutual_information == pytest.approx(np.log(300), rel=1e-6)


def test_a_large_set_is_thinned_evenly_and_fits_into_memory():
    rng = np.random.default_rng(5)
    mean = rng.standard_normal((30_000, 4)).astype(np.float32)
    log_variance = np.full_like(mean, -1.0)
    tracemalloc.start()

    found = aggregate_posterior(mean, log_variance, kl_of(mean, log_variance))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    variance = 1 + np.exp(-1.0)
    assert found.mutual_information == pytest.approx(4 * 0.5 * np.log(variance / np.exp(-1.0)), abs=0.1)
    assert peak < 150e6
    assert found == aggregate_posterior(mean, log_variance, kl_of(mean, log_variance))


def test_a_small_set_has_several_draws_for_each_image():
    mean, log_variance = linear_gaussian(100, slope=np.array([1.0]), deviation=np.array([1.0]))

    found = aggregate_posterior(mean, log_variance, kl_of(mean, log_variance))

    assert found.standard_error < 2 / np.sqrt(DRAWS)
