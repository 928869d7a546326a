"""Hyperparameters: a config with every field filled in, and the rules of each field in any sweep."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import Problems, raise_problems
from vae_search.spec.networks.family import BUILT_IN, KERAS, NETWORK_PARAMETERS
from vae_search.spec.networks.rule import OPEN_RULE, ParamValue, Rule

__all__ = ["ParamValue", "Rule"]  # beside what is defined here

ARCHITECTURES = tuple(BUILT_IN)
ACTIVATIONS = ("tanh", "relu", "elu", "gelu", "gated")
PRIORS = ("standard", "mixture", "vamp")
LEARNED_PRIORS = PRIORS[1:]
OWN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")  # of a family, or a parameter, that this package does not have
OWN_NETWORK = re.compile(rf"{KERAS}[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)

LONGEST_NETWORK = 200


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
    prior: str = "standard"
    prior_components: int = 50  # of a learned prior
    bound_samples: int = 1  # of the bound that the last epochs train; 1 = the ELBO throughout
    iwae_from: float = 0.7  # share of the epochs before them
    own: tuple[tuple[str, ParamValue], ...] = ()  # what was given to a network from elsewhere, by name, sorted

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "own"}
        given = [*values.items(), *self.own]
        raise_problems([((name,), problem) for name, value in given if (problem := rule_of(name).problem(value))])
        set_frozen(self, **{name: RULES[name].normal(value) for name, value in values.items()})

    @classmethod
    def from_params(cls, params: Mapping[str, ParamValue]) -> "Config":
        """The config of these parameters; a missing one takes its default.

        Raises:
            ValueError: A name is unknown, or a value has the wrong type or lies outside its hard limits.
        """
        from_elsewhere = is_own(params.get("architecture"))
        raise_problems([problem for name in params for problem in name_problems(name, own=from_elsewhere)])
        ours = {name: value for name, value in params.items() if name in RULES}
        own = [(name, value) for name, value in params.items() if name not in _OF_TRAINING] if from_elsewhere else []
        return cls(**ours, own=tuple(sorted(own)))  # type: ignore[arg-type]  # __post_init__ checks the types

    def elbo_epochs(self, epochs: int) -> int:
        """Epochs at the start of a training of so many that train the ELBO, and not a bound of several draws.

        All of them with one draw; else the last epoch is never among them.
        """
        if self.bound_samples == 1:
            return epochs
        return min(epochs - 1, round(self.iwae_from * epochs))

    def value(self, name: str) -> ParamValue | None:
        """Value of a parameter; None if only networks from elsewhere have it, and this one was not given it."""
        found: ParamValue | None = dict(self.own).get(name, getattr(self, name, None) if name in RULES else None)
        return found


class ArchitectureRule(Rule):
    """Rule of the family's name: one of ours, or a name that an installed package may have.

    Whether there is such a family is asked when a spec is submitted: stores are read without the package.
    """

    __slots__ = ()

    def _names(self, value: str) -> bool:
        return value in self.choices or is_own(value)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "architecture": ArchitectureRule(kind=str, choices=ARCHITECTURES, meaning="the family of encoder and decoder"),
        "latent_dim": Rule(kind=int, low=1, high=1024, meaning="number of latent dimensions"),
        "beta": Rule(kind=float, above_low=True, high=100, meaning="weight of the KL term in training"),
        "learning_rate": Rule(kind=float, above_low=True, high=1, meaning="step size of the optimizer"),
        "depth": Rule(kind=int, low=1, high=8, meaning="hidden layers or stages of the encoder, and of the decoder"),
        "blocks": BUILT_IN["resnet"].parameters["blocks"],
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
        "prior": Rule(
            kind=str, choices=PRIORS, meaning="distribution of latents: standard normal, or learned (mixture, vamp)"
        ),
        "prior_components": Rule(kind=int, low=1, high=500, meaning="Gaussians, or pseudo-inputs, of a learned prior"),
        "bound_samples": Rule(
            kind=int, low=1, high=64, meaning="draws of the bound that the last epochs train (IWAE); 1 = the ELBO"
        ),
        "iwae_from": Rule(
            kind=float, high=0.99, meaning="share of the epochs after which the bound of bound_samples draws is trained"
        ),
    }
)

_OF_NETWORKS = {*NETWORK_PARAMETERS, *(name for family in BUILT_IN.values() for name in family.parameters)}
_OF_TRAINING = {*RULES} - _OF_NETWORKS
"""parameters that every trial has, whatever its network"""


def is_own(architecture: object) -> bool:
    """True for a family, or a network, that is not this package's, if there is one."""
    return (
        isinstance(architecture, str)
        and architecture not in BUILT_IN
        and (is_keras(architecture) or bool(OWN_NAME.fullmatch(architecture)))
    )


def is_keras(architecture: str) -> bool:
    """True for a Keras network of one's own, `keras:module:function`."""
    return len(architecture) <= LONGEST_NETWORK and bool(OWN_NETWORK.fullmatch(architecture))


def rule_of(name: str) -> Rule:
    """The rule of a parameter; of one that only networks from elsewhere have, a rule that leaves everything open."""
    return RULES.get(name, OPEN_RULE)


def families_with(name: str) -> tuple[str, ...]:
    """Families of ours that have the parameter `name`; all of them, unless it is a special one of some."""
    special = {each for family in BUILT_IN.values() for each in family.parameters}
    if name in RULES and name not in special:
        return ARCHITECTURES
    return tuple(name_of for name_of, family in BUILT_IN.items() if name in family.parameters)


def name_problems(name: str, *, own: bool = False) -> Problems:
    """Problems of a parameter's name: unknown names, with a suggestion.

    Args:
        own: networks from elsewhere may have parameters of their own.
    """
    if name in RULES or (own and OWN_NAME.fullmatch(name)):
        return []
    return [(("name",), f"no parameter is called {shown(name)}. {did_you_mean(name, RULES)}")]


def set_frozen(instance: object, **values: object) -> None:
    """Set fields of a frozen dataclass to their normal form; only for its `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
