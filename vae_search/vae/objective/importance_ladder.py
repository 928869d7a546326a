"""Ladder of importance-weighted bounds: IWAE-K for several K, and the effective sample size, from one pass over draws.

IWAE-K rises with K to log p(x) (Burda et al. 2016, theorem 1): what the last step of the ladder still brings tells how
far a bound is from what it bounds. The effective sample size (Kong 1992), (Σw)² / Σw², is between 1, where one draw
outweighs all others and the bound hangs on it, and K, where q(z|x) is the posterior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_search.core.image_bounds import LadderStep
from vae_search.vae.networks.forward import AnyTopology, functions_of
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build
from vae_search.vae.objective.bounds import log_weights_given, posterior_given
from vae_search.vae.objective.evaluation_size import held_at_once
from vae_search.vae.objective.likelihoods import likelihood_of
from vae_search.vae.objective.pixels import as_intensities
from vae_search.vae.priors.learned import prior_of

LADDER_SEED = 784
LOW_QUANTILE = 0.05


@dataclass(slots=True)
class _Sums:
    """Logs of the sums of weights and of their squares so far, (n,) float64."""

    log_sum: np.ndarray
    log_sum_of_squares: np.ndarray

    @classmethod
    def of_none(cls, images: int) -> "_Sums":
        return cls(np.full(images, -np.inf), np.full(images, -np.inf))

    def add(self, log_weights: np.ndarray) -> None:
        """Take in (draws, n) log weights."""
        logs = log_weights.astype(np.float64)
        self.log_sum = np.logaddexp(self.log_sum, np.logaddexp.reduce(logs, axis=0))
        self.log_sum_of_squares = np.logaddexp(self.log_sum_of_squares, np.logaddexp.reduce(2 * logs, axis=0))

    @property
    def effective_size(self) -> np.ndarray:
        """(n,) (Σw)² / Σw²."""
        size: np.ndarray = np.exp(2 * self.log_sum - self.log_sum_of_squares)
        return size


def importance_ladder(
    weights: Mapping[str, np.ndarray], description: ModelDescription, images: np.ndarray, ladder: Sequence[int]
) -> list[LadderStep]:
    """The ladder of a described model.

    Args:
        weights: by the network's names.
        images, ladder: see `ladder_of`.

    Raises:
        ValueError: The weights are not the described network's, or its likelihood is unknown.
    """
    network = build(description.network)
    return ladder_of(network.ordered(weights), network.topology, description, images, ladder)


def ladder_of(
    weights: Sequence[np.ndarray],
    topology: AnyTopology,
    description: ModelDescription,
    images: np.ndarray,
    ladder: Sequence[int],
    *,
    labels: np.ndarray | None = None,
) -> list[LadderStep]:
    """Bound and effective sample size of each K of `ladder`, which rises; each K's draws are the first of the next's.

    Its cost is that of the largest K alone. The noise is fixed, so equal weights get equal figures.

    Args:
        weights: in the order of the network's shapes.
        images: uint8 in 0 … levels - 1, (n, height, width, channels).
        labels: (n,) of a conditional model.

    Raises:
        ValueError: The likelihood is unknown.
    """
    ordered = [tf.convert_to_tensor(array) for array in weights]
    likelihood = likelihood_of(description.likelihood, description.levels)
    shape, outputs = description.network.image_shape, 1 if likelihood.limits is None else 2
    held = held_at_once(shape, outputs, topology.layer_outputs([tuple(w.shape) for w in ordered], shape))
    prior = prior_of(topology, ordered, functions_of(topology, ordered), clamp=description.clamp)
    bounds: dict[int, list[np.ndarray]] = {k: [] for k in ladder}
    sizes: dict[int, list[np.ndarray]] = {k: [] for k in ladder}
    for first in range(0, len(images), held.images):
        seen = as_intensities(tf.constant(images[first : first + held.images]), likelihood.levels)
        own = None if labels is None else tf.constant(labels[first : first + len(seen)], tf.int32)
        functions = functions_of(topology, ordered, labels=own)
        given = posterior_given(functions, seen, description.clamp)
        sums, drawn = _Sums.of_none(len(seen)), 0
        for k in ladder:
            while drawn < k:
                count = min(held.draws, k - drawn)
                noise = tf.random.stateless_normal(
                    [count, len(seen), description.network.latent_dim], [LADDER_SEED + first, drawn]
                )
                log_weights = log_weights_given(functions, seen, given, noise, likelihood=likelihood, prior=prior)
                sums.add(log_weights.numpy())
                drawn += count
            bounds[k].append(sums.log_sum - np.log(k))
            sizes[k].append(sums.effective_size)
    steps, before = [], np.concatenate(bounds[ladder[0]])
    for k in ladder:
        bound = np.concatenate(bounds[k])
        steps.append(_step(k, bound, np.concatenate(sizes[k]), before))
        before = bound
    return steps


def _step(k: int, bound: np.ndarray, size: np.ndarray, before: np.ndarray) -> LadderStep:
    gain = bound - before
    return LadderStep(
        k=k,
        images=len(bound),
        neg_iwae=-float(bound.mean()),
        gain=float(gain.mean()),
        gain_standard_error=float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0,
        effective_size=float(size.mean()),
        low_effective_size=float(np.quantile(size, LOW_QUANTILE)),
    )
