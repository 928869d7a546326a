"""Hierarchical variational autoencoder with two levels of latents (Tomczak & Welling 2018, section 4).

    p(x, z1, z2) = p(x | z1, z2) N(z1; m(z2), s(z2)²) N(z2; 0, 1)        q(z1, z2 | x) = q(z2 | x) q(z1 | x, z2)

Everything outside this folder sees one row of latents, z = (z2, e), with z1 = m(z2) + s(z2)·e: the lower level in
standard deviations of its prior. So the prior of a row is standard normal, and prior draws, traversals and signatures
are those of any model; m and s are part of the decoder. Given z2 the map from e to z1 is affine, so that rates,
importance weights and the KL of each latent are the same in both. What remains is a posterior whose lower half depends
on the draw of the upper one. Its moments are those of e, relative to the prior (Vahdat & Kautz 2020, section 3.2).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vae_search.spec.fields import Precision
from vae_search.vae.networks.hierarchy.hierarchical_layers import between_levels
from vae_search.vae.networks.layers import WEIGHTED, Layer, LayerWeights, dense_weights, weights_along
from vae_search.vae.networks.network import HEAD_WEIGHTS, Network, Topology
from vae_search.vae.networks.network_spec import NetworkSpec

if TYPE_CHECKING:
    from vae_search.vae.networks.hierarchy.weighted_hierarchy import WeightedHierarchy


def upper_latents(latent_dim: int) -> int:
    """Latents of the upper level: half of all, the lower one has the odd one."""
    return latent_dim // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchicalTopology(Topology):
    """Topology of a hierarchical network.

    Args:
        lower_posterior, lower_prior: as of the network.
    """

    lower_posterior: tuple[Layer, ...]
    lower_prior: tuple[Layer, ...]

    @property
    def first_lower_head(self) -> int:
        """Position of the kernel of the lower level's mean head among the weights."""
        return self.first_head + HEAD_WEIGHTS + _arrays(self.lower_posterior)

    @property
    def mean_biases(self) -> tuple[int, ...]:
        return self.first_head + 1, self.first_lower_head + 1

    def functions(
        self, weights: Sequence[Any], *, labels: Any = None, precision: Precision = "float32"
    ) -> "WeightedHierarchy":
        """Both directions, with these weights."""
        from vae_search.vae.networks.hierarchy.weighted_hierarchy import WeightedHierarchy  # with TensorFlow

        return WeightedHierarchy(topology=self, weights=weights, labels=labels, precision=precision)

    def layer_outputs(self, shapes: Sequence[tuple[int, ...]], image_shape: tuple[int, int, int]) -> list[int]:
        biases = iter(shapes[1::2])  # each kernel is followed by its bias; a shared scale comes last and alone

        def outputs(layers: tuple[Layer, ...], shape: tuple[int, ...], *, heads: bool) -> Iterator[int]:
            sized = [replace(each, size=next(biases)[0]) if each.kind in WEIGHTED else each for each in layers]
            yield from (each.outputs for each in weights_along(sized, shape)[0])
            if heads:
                yield from (next(biases)[0] for _ in range(2))

        encoder = [*outputs(self.encoder, image_shape, heads=True)]
        upper = encoder[-1]
        lower = [*outputs(self.lower_posterior, (upper,), heads=True)]  # features leave the sizes as they are
        prior = [*outputs(self.lower_prior, (upper,), heads=True)]
        latents = upper + lower[-1]
        return [*encoder, *lower, *prior, *outputs(self.decoder, (latents + self.classes,), heads=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchicalNetwork(Network):
    """A network with two levels of latents; the upper ones come first in a row.

    encoder: images -> features, which both heads of the upper level see
    lower_posterior: features, upper latents -> what both heads of the lower level see
    lower_prior: upper latents -> what the two heads see that put out m and the logarithm of s²
    decoder: upper latents, lower latents -> (batch, height, width, outputs · channels), the likelihood's parameters

    The heads of `lower_prior` start at zero: at first both levels have a standard normal prior. A label is one more
    input of the features, of `lower_prior` and of the decoder.
    """

    lower_posterior: tuple[Layer, ...]
    lower_prior: tuple[Layer, ...]

    @property
    def encoder_weights(self) -> list[LayerWeights]:
        """Weights of the encoder's layers, of the upper level's heads, and of the lower level's posterior."""
        found, (features,) = weights_along(self.encoder, self.spec.image_shape)
        head = dense_weights(features + self.spec.classes, self._upper)
        return [*found, head, head, *self._lower_posterior_weights]

    @property
    def decoder_weights(self) -> list[LayerWeights]:
        """Weights of the lower level's prior, then of the decoder's layers."""
        found, (hidden,) = weights_along(self.lower_prior, (self._upper + self.spec.classes,))
        head = replace(dense_weights(hidden, self._lower), starts_at_zero=True)
        decoder, _ = weights_along(self.decoder, (self.spec.latent_dim + self.spec.classes,))
        return [*found, head, head, *decoder]

    @property
    def decoder_flops(self) -> int:
        """`forward_flops` of all that each draw of the latents goes through: the lower posterior and the decoder."""
        return sum(layer.flops for layer in (*self._lower_posterior_weights, *self.decoder_weights))

    @property
    def topology(self) -> HierarchicalTopology:
        chains = {name: getattr(self, name) for name in ("encoder", "decoder", "lower_posterior", "lower_prior")}
        return HierarchicalTopology(
            **{name: tuple(replace(layer, size=0) for layer in layers) for name, layers in chains.items()},
            ranks=tuple(len(shape) for shape in self.shapes),
            classes=self.spec.classes,
            prior=self.spec.prior,
        )

    @property
    def _upper(self) -> int:
        return upper_latents(self.spec.latent_dim)

    @property
    def _lower(self) -> int:
        return self.spec.latent_dim - self._upper

    @property
    def _lower_posterior_weights(self) -> list[LayerWeights]:
        _, (features,) = weights_along(self.encoder, self.spec.image_shape)
        given = features + self.spec.classes + self._upper
        found, (hidden,) = weights_along(self.lower_posterior, (given,))
        head = dense_weights(hidden, self._lower)
        return [*found, head, head]


def hierarchical_network(spec: NetworkSpec, encoder: Sequence[Layer], decoder: Sequence[Layer]) -> HierarchicalNetwork:
    """The network of a family with two levels of latents, with these layers of its encoder and decoder."""
    _, (features,) = weights_along(encoder, spec.image_shape)
    lower_posterior, lower_prior = between_levels(spec, features)
    return HierarchicalNetwork(
        spec=spec,
        encoder=tuple(encoder),
        decoder=tuple(decoder),
        lower_posterior=tuple(lower_posterior),
        lower_prior=tuple(lower_prior),
    )


def _arrays(layers: Sequence[Layer]) -> int:
    """Number of weights of layers of which none is a shared scale: a kernel and a bias each."""
    return 2 * sum(layer.kind in WEIGHTED for layer in layers)
