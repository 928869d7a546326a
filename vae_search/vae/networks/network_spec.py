"""Network spec: the part of a config that the shapes of a network's weights depend on."""

from dataclasses import dataclass

from vae_search.data.tasks import ImageShape
from vae_search.spec.hyperparameters import Config, families_with


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything that determines the shapes of a network's weights; equal specs have interchangeable weights.

    Args:
        likelihood: by the name that a spec gives; it says what the decoder puts out for each value of a pixel.
        blocks: None in the families that have none.

    Raises:
        ValueError: `blocks` is missing, or is given to a family that has none.
    """

    architecture: str
    image_shape: ImageShape
    latent_dim: int
    depth: int
    width: int
    activation: str
    likelihood: str = "bernoulli"
    blocks: int | None = None

    def __post_init__(self) -> None:
        if (self.blocks is not None) != (self.architecture in families_with("blocks")):
            families = ", ".join(families_with("blocks"))
            raise ValueError(f"{families} must have `blocks`, others none, but {self.architecture} has {self.blocks}")

    @property
    def outputs_per_value(self) -> int:
        """Outputs of the decoder's last kernel per value: a location, and a scale if that depends on the latents."""
        return 2 if self.likelihood == "discretized_logistic" else 1

    @property
    def shares_scale(self) -> bool:
        """True if one scale is learned for all values, beside the outputs of the last kernel."""
        return self.likelihood == "gaussian"

    @classmethod
    def of(cls, config: Config, image_shape: ImageShape, *, likelihood: str) -> "NetworkSpec":
        return cls(
            architecture=config.architecture,
            image_shape=image_shape,
            latent_dim=config.latent_dim,
            depth=config.depth,
            width=config.width,
            activation=config.activation,
            likelihood=likelihood,
            blocks=config.blocks if config.architecture in families_with("blocks") else None,
        )
