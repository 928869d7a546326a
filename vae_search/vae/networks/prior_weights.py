"""Weights of a learned prior: the last ones of its network, with names and shapes of their own."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from vae_search.vae.networks.network_spec import NetworkSpec

PRIOR_WEIGHTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"standard": (), "mixture": ("logits", "means", "log_variances"), "vamp": ("pseudo_inputs",)}
)
"""kinds of weights of each prior, in order"""
# Adam moves every weight by about the learning rate in a step. A component has further to go than a kernel's entries:
# on digits a mixture of 100 that learns three times as fast gains 0.093 nats more (0.062 to 0.122), one of 20 0.038
# (benchmarks/priors.py with a pace of 1 and of 3, three seeds).
MIXTURE_PACE = 3.0
"""logits, means and log variances of a mixture are its weights times this"""


def prior_names(prior: str) -> list[str]:
    """Names of a prior's weights, in the order of their shapes."""
    return [f"prior/{position:02d}-{kind}" for position, kind in enumerate(PRIOR_WEIGHTS[prior])]


def prior_shapes(spec: NetworkSpec) -> list[tuple[int, ...]]:
    """Shapes of the weights of a spec's prior; none of the standard one."""
    components, latents = spec.prior_components, (spec.prior_components, spec.latent_dim)
    match spec.prior:
        case "mixture":
            return [(components,), latents, latents]
        case "vamp":
            return [(components, *spec.image_shape)]
    return []


def prior_flops(spec: NetworkSpec) -> int:
    """Multiply-adds × 2 of one draw's density: two products with a latent of each component; 0 of the standard one."""
    return 4 * spec.prior_components * spec.latent_dim


def blank_prior(spec: NetworkSpec, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights of a prior that has seen no image: components drawn from N(0, 1), uniform pseudo-inputs.

    A training replaces them by what its encoder makes of training images (`vae.priors.initial`).
    """
    shapes = prior_shapes(spec)
    match spec.prior:
        case "mixture":
            logits, means, log_variances = shapes
            drawn = rng.standard_normal(means).astype(np.float32)
            return mixture_weights(np.zeros(logits, np.float32), drawn, np.zeros(log_variances, np.float32))
        case "vamp":
            return [rng.random(shapes[0]).astype(np.float32)]
    return []


def mixture_weights(logits: np.ndarray, means: np.ndarray, log_variances: np.ndarray) -> list[np.ndarray]:
    """Weights of the prior `mixture` that is this one, in order: (components,) and (components, latent_dim) twice."""
    return [(array / MIXTURE_PACE).astype(np.float32) for array in (logits, means, log_variances)]
