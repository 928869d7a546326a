"""Hyperparameters: a config with every field filled in, and the rules of each field in any sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import Problems, raise_problems

ParamValue = int | float | str  # never bool

# Each family of networks, and the parameters that not every family has. Its layers stand in `vae.networks.families`.
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"mlp": (), "pyramid": (), "conv": (), "resnet": ("blocks",)}
)
ARCHITECTURES = tuple(FAMILIES)
ACTIVATIONS = ("tanh", "relu", "elu", "gelu", "gated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One fully resolved point of the search space.

    Raises:
        ValueError: A field has the wrong type or lies outside its hard limits.
    """

    architecture: str = "mlp"
    latent_dim: int = 32
    beta: float = 1.0  # in training only; evaluation always uses 1
    learning_rate: float = 1e-3
    depth: int = 2
    blocks: int = 1
    width: int = 256
    batch_size: int = 128
    activation: str = "relu"
    kl_warmup_epochs: int = 0
    free_bits: float = 0.0  # nats per latent dimension; 0 = off
    grad_clip: float = 0.0  # clip at this multiple of the running gradient norm; 0 = off
    weight_decay: float = 0.0  # a step takes learning_rate · weight_decay of each weight; 0 = off

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        raise_problems(
            [((name,), problem) for name, value in values.items() if (problem := RULES[name].problem(value))]
        )
        set_frozen(self, **{name: RULES[name].normal(value) for name, value in values.items()})

    @classmethod
    def from_params(cls, params: Mapping[str, ParamValue]) -> "Config":
        """The config of these parameters; a missing one takes its default.

        Raises:
            ValueError: A name is unknown, or a value has the wrong type or lies outside its hard limits.
        """
        raise_problems([problem for name in params for problem in name_problems(name)])
        return cls(**params)  # type: ignore[arg-type]  # __post_init__ checks the types


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The kind and the hard limits of one parameter; for a name, what it may be."""

    kind: type[int] | type[float] | type[str]
    low: float = 0
    high: float = 0
    above_low: bool = False  # `low` itself is excluded
    choices: tuple[str, ...] = ()
    meaning: str

    @property
    def kind_name(self) -> str:
        """The kind in words, with its article."""
        return {int: "a whole number", float: "a number", str: "a name"}[self.kind]

    def problem(self, value: object) -> str | None:
        """Reason why `value` cannot be a value of this parameter, or None."""
        if self.kind is str:
            if not isinstance(value, str):
                return f"must be one of {', '.join(self.choices)}, but got {shown(value)}."
            return None if value in self.choices else f"{shown(value)} is unknown. {did_you_mean(value, self.choices)}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (self.kind is int and isinstance(value, float))
        ):
            return f"must be {self.kind_name}, but got {shown(value)}."
        if not self.low <= value <= self.high or (self.above_low and value == self.low):  # NaN fails, too
            limits = f"{'>' if self.above_low else '>='} {self.low:g} and <= {self.high:g}"
            return f"must be {limits}, but got {shown(value)}."
        return None

    def normal(self, value: ParamValue) -> ParamValue:
        """`value` in the parameter's own type: 1 becomes 1.0 where real numbers are meant."""
        return float(value) if self.kind is float and not isinstance(value, str) else value


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "architecture": Rule(kind=str, choices=ARCHITECTURES, meaning="the family of encoder and decoder"),
        "latent_dim": Rule(kind=int, low=1, high=1024, meaning="number of latent dimensions"),
        "beta": Rule(kind=float, above_low=True, high=100, meaning="weight of the KL term in training"),
        "learning_rate": Rule(kind=float, above_low=True, high=1, meaning="step size of the optimizer"),
        "depth": Rule(kind=int, low=1, high=8, meaning="hidden layers or stages of the encoder, and of the decoder"),
        "blocks": Rule(kind=int, low=1, high=8, meaning="residual blocks per stage"),
        "width": Rule(
            kind=int, low=1, high=4096, meaning="units of a layer (mlp), or channels of the first (conv, resnet)"
        ),
        "batch_size": Rule(kind=int, low=1, high=4096, meaning="images per gradient step"),
        "activation": Rule(kind=str, choices=ACTIVATIONS, meaning="non-linearity of the hidden layers"),
        "kl_warmup_epochs": Rule(kind=int, high=10_000, meaning="epochs over which the KL weight rises to beta"),
        "free_bits": Rule(kind=float, high=10, meaning="nats of KL per latent dimension that cost nothing; 0 = off"),
        "grad_clip": Rule(
            kind=float, high=1000, meaning="clip at this multiple of the running gradient norm, not at a norm; 0 = off"
        ),
        "weight_decay": Rule(
            kind=float, high=1, meaning="a step takes learning_rate · this of each weight (AdamW); 0 = off"
        ),
    }
)


def families_with(name: str) -> tuple[str, ...]:
    """Families that have the parameter `name`; all of them, unless it is a special one of some."""
    return tuple(family for family, special in FAMILIES.items() if name in special) or ARCHITECTURES


def name_problems(name: str) -> Problems:
    """Problems of a parameter's name: unknown names, with a suggestion."""
    return [] if name in RULES else [(("name",), f"no parameter is called {shown(name)}. {did_you_mean(name, RULES)}")]


def set_frozen(instance: object, **values: object) -> None:
    """Set fields of a frozen dataclass to their normal form; only for its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
