"""Diagnosis of posterior collapse by the aggregate posterior q(z) = 1/n Σ_j q(z|x_j): mutual information, marginal KL.

ELBO surgery (Hoffman & Johnson 2016, eq. 6): rate = I_q(x; z) + KL(q(z) ‖ p(z)). Of the nats that the rate counts, the
first part tells images apart, and the second is only the aggregate posterior's distance from the prior, which samples
suffer from. A collapsed code has both near zero; a code that is there but says nothing has the second alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000  # of z, spread over the images; one for each of so many images, several where there are fewer
MOST_IMAGES = 10_000  # whose posteriors make up the mixture
BLOCK_VALUES = 4_000_000  # of log densities at once: 32 MB
DIAGNOSIS_SEED = 783
LOG_2PI = float(np.log(2 * np.pi))

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatePosterior:
    """The two parts of the rate, nats per image.

    Args:
        mutual_information: I_q(x; z) with x uniform over the images: a lower bound of that of the population, since no
            estimate from n images can exceed log n (Poole et al. 2019, section 2.3).
        marginal_kl: KL(q(z) ‖ p(z)), an upper bound by as much.
        standard_error: of either, over draws of z.
    """

    mutual_information: float
    marginal_kl: float
    standard_error: float


def aggregate_posterior(mean: np.ndarray, log_variance: np.ndarray, rates: np.ndarray) -> AggregatePosterior:
    """Split the rate of a set of images by Monte Carlo over z; equal posteriors get equal bits.

    I_q is the mean of log q(z|x_i) - log q(z) with z ~ q(z|x_i), both at the same z, so that where the posteriors are
    far apart (log n) and where they are all alike (0) nothing is left to chance. The marginal KL is the rate
    without it. At most 2000 · 10,000 densities of as many dimensions as latents: less than a second.

    Args:
        mean, log_variance: of q(z|x) of each image, (n, latent_dim).
        rates: KL(q(z|x) ‖ p(z)) of each latent, or of all together as a learned prior has it, (n, latent_dim or 1).
    """
    rate = float(np.mean(rates.sum(axis=1, dtype=np.float64)))
    mixture = _evenly(len(mean), MOST_IMAGES)
    means, log_variances = mean[mixture].astype(np.float64), log_variance[mixture].astype(np.float64)
    chosen = _evenly(len(means), DRAWS)
    chosen = np.tile(chosen, max(1, DRAWS // len(chosen)))
    noise = np.random.default_rng(DIAGNOSIS_SEED).standard_normal((len(chosen), means.shape[1]))
    latents = means[chosen] + np.exp(0.5 * log_variances[chosen]) * noise
    own = -0.5 * np.sum(noise**2 + log_variances[chosen] + LOG_2PI, axis=1)
    informed = own - log_mixture_density(latents, means, log_variances)
    information = float(informed.mean())
    return AggregatePosterior(
        mutual_information=information,
        marginal_kl=rate - information,
        standard_error=float(informed.std() / np.sqrt(len(informed))),
    )


def log_mixture_density(latents: Floats, means: Floats, log_variances: Floats) -> Floats:
    """log 1/n Σ_j N(z; mean_j, exp(log_variance_j)) in float64: (m, d), (n, d), (n, d) -> (m,).

    The square in the exponent is multiplied out, z²/σ² - 2 z μ/σ² + μ²/σ², so that two matrix products do it.
    """
    precisions = np.exp(-log_variances)
    weighted = means * precisions
    constants = np.sum(means * weighted + log_variances + LOG_2PI, axis=1)
    found = [
        _log_mean_exp(-0.5 * (part**2 @ precisions.T - 2 * part @ weighted.T + constants))
        for part in _blocks(latents, len(means))
    ]
    return np.concatenate(found)


def _log_mean_exp(logs: Floats) -> Floats:
    """(m, n) -> (m,), over the second axis."""
    highest = logs.max(axis=1)
    mean: Floats = highest + np.log(np.mean(np.exp(logs - highest[:, None]), axis=1))
    return mean


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of `count` positions, evenly spread."""
    kept = min(count, most)
    return np.arange(kept, dtype=np.int64) * count // kept


def _blocks(latents: Floats, components: int) -> Iterator[Floats]:
    rows = max(1, BLOCK_VALUES // components)
    for first in range(0, len(latents), rows):
        yield latents[first : first + rows]
