"""The last layers of every decoder: what a likelihood needs for each value of a pixel."""

from vae_search.vae.layers import Layer
from vae_search.vae.network_spec import NetworkSpec


def outputs_per_value(spec: NetworkSpec) -> int:
    """How much the last layer with a kernel puts out: a location, and a scale if that depends on the latents."""
    return 2 if spec.likelihood == "discretized_logistic" else 1


def scale_layers(spec: NetworkSpec) -> list[Layer]:
    """What follows it: the one scale that a Gaussian learns for all values."""
    return [Layer("shared_scale")] if spec.likelihood == "gaussian" else []
