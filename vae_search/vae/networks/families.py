"""Network families: the table of encoders and decoders by name.

A new family is one file beside this one, one line here, and one line in `FAMILIES` of `spec.hyperparameters`: what a
spec may name must be known without TensorFlow and without this package.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from vae_search.vae.networks.conv import conv
from vae_search.vae.networks.dense import mlp, pyramid
from vae_search.vae.networks.layers import Layer
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.networks.resnet import resnet

FAMILIES: Mapping[str, Callable[[NetworkSpec], tuple[list[Layer], list[Layer]]]] = MappingProxyType(
    {"mlp": mlp, "pyramid": pyramid, "conv": conv, "resnet": resnet}
)
