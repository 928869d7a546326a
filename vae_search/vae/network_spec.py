"""What shapes a network: the part of a config that its weights depend on."""

from dataclasses import dataclass

from vae_search.config import Config
from vae_search.data.task import ImageShape


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """All that shapes a network's weights; equal specs have interchangeable weights."""

    architecture: str
    image_shape: ImageShape
    latent_dim: int
    depth: int
    width: int
    activation: str

    @classmethod
    def of(cls, config: Config, image_shape: ImageShape) -> "NetworkSpec":
        return cls(
            architecture=config.architecture,
            image_shape=image_shape,
            latent_dim=config.latent_dim,
            depth=config.depth,
            width=config.width,
            activation=config.activation,
        )
