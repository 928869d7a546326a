"""Learned priors of a network, by its weights: a mixture of Gaussians, and the VampPrior."""

import tensorflow as tf

from vae_search.vae.networks.clamping import clamped
from vae_search.vae.networks.forward import AnyTopology, Tensors, VaeFunctions
from vae_search.vae.networks.network import Topology
from vae_search.vae.networks.prior_weights import MIXTURE_PACE, PRIOR_WEIGHTS
from vae_search.vae.priors.mixture import GaussianMixture

Prior = GaussianMixture | None
"""of a model's latents; None is the standard normal one, whose terms are known in closed form"""
PIXELS = (0.0, 1.0)


def prior_kind(topology: AnyTopology) -> str:
    """The prior of a network, by the name that a spec gives; that of a Keras network of one's own is standard."""
    return topology.prior if isinstance(topology, Topology) else "standard"


def prior_of(topology: AnyTopology, weights: Tensors, network: VaeFunctions, *, clamp: tuple[float, float]) -> Prior:
    """The prior of a network with these weights, in the order of its shapes.

    mixture: the weights are its logits, means and log variances, each over `MIXTURE_PACE`.
    vamp: the mean of q(z|u) over pseudo-inputs u, which are weights in the place of images, kept in the pixels' range
        (Tomczak & Welling 2018, eq. 9).

    Args:
        network: both directions with these weights.
        clamp: of the encoder's log variance.
    """
    kind = prior_kind(topology)
    if kind == "standard":
        return None
    own = [tf.convert_to_tensor(weight) for weight in weights[-len(PRIOR_WEIGHTS[kind]) :]]
    if kind == "mixture":
        logits, means, log_variances = (MIXTURE_PACE * weight for weight in own)
        return GaussianMixture(logits=logits, means=means, log_variances=log_variances)
    means, raw_log_variances = network.encoder(clamped(own[0], PIXELS))
    return GaussianMixture(
        logits=tf.zeros(tf.shape(means)[:1], means.dtype), means=means, log_variances=clamped(raw_log_variances, clamp)
    )
