"""Network spec: the part of a config that the shapes of a network's weights depend on."""

from collections.abc import Iterable
from dataclasses import dataclass

from vae_search.data.tasks import ImageShape
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import PRIORS, Config
from vae_search.spec.networks.family import BUILT_IN, HIERARCHICAL
from vae_search.spec.networks.keras_network import KerasReference
from vae_search.spec.networks.plugins import family_of
from vae_search.spec.networks.rule import ParamValue
from vae_search.spec.own_code.code_loading import code_of
from vae_search.vae.networks.layers import Layer

Layers = tuple[tuple[Layer, ...], tuple[Layer, ...]]  # of encoder and decoder


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything that determines the shapes of a network's weights; equal specs have interchangeable weights.

    `spec["blocks"]` is a parameter that only some families have.

    Args:
        likelihood: by the name that a spec gives; it says what the decoder puts out for each value of a pixel.
        special: parameters that only some families have, exactly those of this one, by name.
        layers: that a family from elsewhere has made, as a model's file keeps them; its package is not needed then.
        classes: of the labels that encoder and decoder see; 0 for a model that sees none.
        prior: of the latents, by the name that a spec gives.
        prior_components: of a learned prior; 0 for the standard one.
        code: SHA-256 of the source of a Keras network of one's own, whose arguments are the special parameters; depth,
            width and activation then mean nothing.

    Raises:
        ValueError: A special parameter is missing, or is given to a family that does not have it; or two levels of
            latents cannot be.
    """

    architecture: str
    image_shape: ImageShape
    latent_dim: int
    depth: int
    width: int
    activation: str
    likelihood: str = "bernoulli"
    special: tuple[tuple[str, ParamValue], ...] = ()
    layers: Layers | None = None
    classes: int = 0
    prior: str = "standard"
    prior_components: int = 0
    code: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "special", tuple(sorted(self.special)))
        if self.prior not in PRIORS or (self.prior == "standard") != (self.prior_components == 0):
            given = f"{self.prior!r:.80} with {self.prior_components} components"
            raise ValueError(f"a learned prior must have components, the standard one none, but got {given}")
        if self.prior == "vamp" and self.classes:
            raise ValueError(f"pseudo-inputs have no label, but a model of {self.classes} classes has a vamp prior")
        if self.architecture in HIERARCHICAL and (self.latent_dim < 2 or self.prior == "vamp"):
            given = f"has latent_dim={self.latent_dim} and prior={self.prior}"
            raise ValueError(f"{self.architecture} must have 2 latents at least, and no prior vamp, but {given}")
        if self.architecture in BUILT_IN:
            names, found = {*BUILT_IN[self.architecture].parameters}, {name for name, _ in self.special}
            for name in sorted(names ^ found):
                having = ", ".join(of for of, family in BUILT_IN.items() if name in family.parameters)
                given = f"{self.architecture} has {dict(self.special).get(name)}"
                raise ValueError(f"{having or 'no family of ours'} must have `{name}`, others none, but {given}")

    def __getitem__(self, name: str) -> ParamValue:
        """Value of a special parameter."""
        return dict(self.special)[name]

    @property
    def outputs_per_value(self) -> int:
        """Outputs of the decoder's last kernel per value: a location, and a scale if that depends on the latents."""
        return 2 if self.likelihood == "discretized_logistic" else 1

    @property
    def shares_scale(self) -> bool:
        """True if one scale is learned for all values, beside the outputs of the last kernel."""
        return self.likelihood == "gaussian"

    @classmethod
    def of(cls, config: Config, image_shape: ImageShape, *, likelihood: str, classes: int = 0) -> "NetworkSpec":
        """Spec of a config's network for images of this shape, and labels of so many classes; 0: without labels.

        Raises:
            InvalidSpec: It is a Keras network of one's own with a learned prior, or its code is not here.
        """
        reference = KerasReference.parse(config.architecture)
        if reference is not None:
            if config.prior != "standard":
                raise InvalidSpec(f"{config.architecture}: has the standard prior, but the config says {config.prior}.")
            return cls.of_keras(
                config.architecture,
                image_shape=image_shape,
                latent_dim=config.latent_dim,
                likelihood=likelihood,
                arguments=config.own,
                code=code_of(reference.module).identity.sha256,
            )
        return cls(
            architecture=config.architecture,
            image_shape=image_shape,
            latent_dim=config.latent_dim,
            depth=config.depth,
            width=config.width,
            activation=config.activation,
            likelihood=likelihood,
            classes=classes,
            prior=config.prior,
            prior_components=0 if config.prior == "standard" else config.prior_components,
            special=tuple(_special_of(config)),
        )

    @classmethod
    def of_keras(
        cls,
        architecture: str,
        *,
        image_shape: ImageShape,
        latent_dim: int,
        likelihood: str,
        arguments: Iterable[tuple[str, ParamValue]],
        code: str,
    ) -> "NetworkSpec":
        """Spec of a Keras network of one's own."""
        return cls(
            architecture=architecture,
            image_shape=image_shape,
            latent_dim=latent_dim,
            depth=0,
            width=0,
            activation="",
            likelihood=likelihood,
            special=tuple(arguments),
            code=code,
        )


def _special_of(config: Config) -> Iterable[tuple[str, ParamValue]]:
    """The special parameters of the config's family, in their own types.

    Raises:
        InvalidSpec: The family is from elsewhere, and its package is not here or is broken.
    """
    for name, rule in family_of(config.architecture).parameters.items():
        value = config.value(name)
        default = rule.default
        if value is None and default is not None:
            value = default
        if value is not None:
            yield name, rule.normal(value)
