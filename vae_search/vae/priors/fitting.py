"""Mixture of Gaussians fitted to codes: expectation-maximisation (Dempster, Laird & Rubin 1977) by scikit-learn."""

import warnings

import numpy as np

from vae_search.vae.networks.prior_weights import mixture_weights

MOST_STEPS = 200
LEAST_GAIN_NATS = 1e-3  # of a step, in log density of a code; a step that gains less is the last
LEAST_VARIANCE = 1e-4  # added to each: a component that holds equal codes keeps a width


def fitted_mixture(codes: np.ndarray, components: int, *, seed: int) -> list[np.ndarray]:
    """Weights of the prior `mixture` that has, of those nearby, the highest likelihood of the codes.

    It begins with clusters (k-means) and is a function of its arguments.

    Args:
        codes: (n, latent_dim) draws of q(z|x), n at least the number of components.

    Returns:
        Logits, means and log variances in the order and scale of the prior's weights.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        components,
        covariance_type="diag",
        tol=LEAST_GAIN_NATS,
        reg_covar=LEAST_VARIANCE,
        max_iter=MOST_STEPS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # held-out images judge whatever it has come to
        mixture.fit(codes.astype(np.float64))
    shares = np.maximum(mixture.weights_, np.finfo(np.float32).tiny)
    return mixture_weights(np.log(shares), mixture.means_, np.log(mixture.covariances_))
