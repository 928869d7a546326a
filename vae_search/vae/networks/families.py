"""Layers of a family: its function is imported when one of its networks is built.

A new family of ours is one file beside this one, and its declaration in `BUILT_IN` of `spec.networks.family`. One from
elsewhere is declared in the same way by its package. What a spec may name is known without TensorFlow and without
this package.
"""

from vae_search.errors import InvalidSpec
from vae_search.spec.networks.family import BUILT_IN
from vae_search.spec.networks.plugins import layers_function, shown_packages
from vae_search.vae.networks.layers import Layer, check_layers
from vae_search.vae.networks.network_spec import NetworkSpec


def layers_of(spec: NetworkSpec) -> tuple[list[Layer], list[Layer]]:
    """Layers of encoder, up to its two heads, and decoder.

    Raises:
        InvalidSpec: The family is from elsewhere, and its package is not here, is broken, or makes layers that are no
            autoencoder of these images.
    """
    if spec.layers is not None:
        return [*spec.layers[0]], [*spec.layers[1]]
    found = layers_function(spec.architecture)(spec)
    if spec.architecture in BUILT_IN:
        encoder, decoder = found
        return [*encoder], [*decoder]
    where = f"family {spec.architecture} of {shown_packages(spec.architecture)}"
    try:
        encoder, decoder = found
        encoder, decoder = [*encoder], [*decoder]
    except (TypeError, ValueError):
        raise InvalidSpec(f"{where}: must return two lists of layers, but returned a {type(found).__name__}.") from None
    try:
        check_layers(
            encoder,
            decoder,
            image_shape=spec.image_shape,
            latent_dim=spec.latent_dim + spec.classes,
            outputs_per_value=spec.outputs_per_value,
        )
    except ValueError as error:
        raise InvalidSpec(f"{where}: {error}.") from error
    return encoder, decoder
