"""The family of residual networks: `resnet`."""

from vae_search.vae.networks.conv import strided
from vae_search.vae.networks.layers import ZERO, Layer, activated
from vae_search.vae.networks.network_spec import NetworkSpec


def resnet(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """The stages of `conv`, each with `blocks` residual blocks after its convolution, or before it in the decoder.

    No normalisation: over a batch it would make an image's score depend on its neighbours. What it is for, a network
    that starts well however deep it is, comes from blocks that start as the identity (Zhang et al. 2019, Fixup).
    """
    blocks = int(spec["blocks"])
    return strided(spec, lambda channels: _block(channels, spec.activation) * blocks)


def _block(channels: int, activation: str) -> list[Layer]:
    """`x + convolution(activation(convolution(x)))`, the second kernel zero at the start (He et al. 2016, fig. 2)."""
    inner = activated("same_conv", [channels], activation)
    return [Layer("fork"), *inner, Layer("same_conv", channels, (ZERO,)), Layer("add")]
