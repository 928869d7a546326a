"""Small networks with weights that nobody trained."""

from math import prod

import numpy as np
from sklearn.datasets import load_digits

from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import ARCHITECTURES, families_with
from vae_search.spec.networks.family import HIERARCHICAL
from vae_search.vae.networks.layers import Layer
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import Network, build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.likelihoods import likelihood_of

FAMILIES = ARCHITECTURES
KERAS_FAMILIES = tuple(name for name in FAMILIES if name not in HIERARCHICAL)
"""those of whose networks there are Keras models"""


def network_spec(**fields) -> NetworkSpec:
    """Small network spec, with two blocks per stage in the family that has any.

    `blocks` may stand beside the other fields; None means none.
    """
    usual = 2 if fields["architecture"] in families_with("blocks") else None
    blocks = fields.pop("blocks", usual)
    return NetworkSpec(**fields, special=() if blocks is None else (("blocks", blocks),))


def linear_network(image_shape: tuple[int, int, int], *, latents: int, classes: int = 0) -> Network:
    """Linear encoder and decoder with one learned Gaussian width, as of probabilistic PCA."""
    spec = NetworkSpec(
        architecture="mlp",
        image_shape=image_shape,
        latent_dim=latents,
        depth=1,
        width=1,
        activation="relu",
        likelihood="gaussian",
        classes=classes,
    )
    made = (Layer("dense", prod(image_shape)), Layer("reshape", detail=image_shape[:2]), Layer("shared_scale"))
    return Network(spec=spec, encoder=(Layer("flatten"),), decoder=made)


def description(**changes) -> ModelDescription:
    """Model description for 13×7 images, which convolutions must pad and crop."""
    fields = {"architecture": "mlp", "image_shape": (13, 7, 1), "latent_dim": 5, "depth": 2, "width": 16}
    network = network_spec(**(fields | {"activation": "gated"} | changes))
    return ModelDescription(network=network, levels=2 if network.likelihood == "bernoulli" else 17, clamp=(-1.0, 0.1))


def weights(described: ModelDescription, *, seed: int = 3) -> dict[str, np.ndarray]:
    """Weights twice as large as fresh ones, with biases not zero: posteriors far from the prior, some clamped."""
    network = build(described.network)
    rng = np.random.default_rng(seed)
    pixels = network.biased_alike(statistics(described))
    latent_free = likelihood_of(described.likelihood, described.levels).latent_free(pixels)
    fresh = initial_weights(network, seed=seed, latent_free=latent_free)
    arrays = [2 * array + rng.normal(0, 0.1, array.shape).astype(np.float32) for array in fresh]
    return dict(zip(network.names, arrays, strict=True))


def far_from_linear(described: ModelDescription) -> dict[str, np.ndarray]:
    """Large weights of the decoder, small ones of the encoder: proposals that are wide enough to be weighted."""
    scales = {"encoder": 0.25, "decoder": 1.3, "prior": 0.2}
    return {name: scales[name.split("/")[0]] * array for name, array in weights(described).items()}


def statistics(described: ModelDescription) -> PixelStatistics:
    """Statistics of pixels that are rather dark, all alike."""
    mean, variance, lowest, highest = (
        np.full(described.network.image_shape, value, np.float32) for value in (0.3, 0.05, 0.1, 0.02)
    )
    return PixelStatistics(levels=described.levels, mean=mean, variance=variance, lowest=lowest, highest=highest)


def grey(count: int, image_shape: tuple[int, ...] = (13, 7, 1), *, seed: int = 4) -> np.ndarray:
    """Grey likelihood of 17 levels."""
    return np.random.default_rng(seed).integers(0, 17, (count, *image_shape)).astype(np.uint8)


def binary(count: int, image_shape: tuple[int, ...] = (13, 7, 1), *, seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (count, *image_shape)).astype(np.uint8)


def digits_task() -> TrainingTask:
    images = load_digits().images.astype(np.uint8)[..., None]
    grey = images[1280:] / 16.0
    select = np.random.default_rng(0).random(grey.shape) < grey
    return TrainingTask(
        train=images[:1280],
        select=select.astype(np.uint8),
        scale=16.0,
        dynamic=True,
        floor=10.0,
        pixels=PixelStatistics.of(Images(pixels=images[:1280], scale=16.0), levels=2),
    )
