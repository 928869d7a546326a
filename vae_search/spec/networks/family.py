"""Families of networks, declared: what a spec may name, known without TensorFlow and without the layers.

A family from elsewhere is an entry point of the group `vae_search.families`; its name is the family's and its object a
`Family`, see `plugins.py`. Those of this package are declared here in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vae_search.spec.networks.rule import Rule

KERAS = "keras:"
"""before module:function, in the name that a network of one's own has as an architecture"""
NETWORK_PARAMETERS = ("depth", "width", "activation")
"""parameters that every family has, unless it says that it ignores one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Declaration of a family.

    Args:
        layers: `module:function`, imported when a network is built: from `NetworkSpec` to the layers of encoder and
            decoder, two lists of `vae_search.vae.networks.layers.Layer`. Equal specs must give equal layers.
        meaning: one line.
        parameters: those that only some families have, by name, each with its default.
        ignores: of `depth`, `width` and `activation`, what means nothing to it.

    Raises:
        ValueError: A field is wrong. One line.
    """

    layers: str
    meaning: str
    parameters: Mapping[str, Rule] = field(default_factory=dict)
    ignores: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        module, colon, function = str(self.layers).partition(":")
        if not (colon and function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            raise ValueError(f"`layers` must be module:function, but got {self.layers!r:.80}")
        for name, rule in self.parameters.items():
            if not isinstance(name, str) or not name.isidentifier() or name != name.lower():
                raise ValueError(f"a parameter must be named in lower case, but got {name!r:.80}")
            if not isinstance(rule, Rule):
                raise ValueError(f"parameter {name} must be a Rule, but got {type(rule).__name__}")
            if (problem := rule.problem(rule.default)) is not None:
                raise ValueError(f"the default of parameter {name} {problem}")
        if strange := [name for name in self.ignores if name not in NETWORK_PARAMETERS]:
            raise ValueError(f"`ignores` may name {', '.join(NETWORK_PARAMETERS)}, but got {strange[0]!r:.80}")


BUILT_IN: Mapping[str, Family] = MappingProxyType(
    {
        "mlp": Family(layers="vae_search.vae.networks.dense:mlp", meaning="`depth` dense layers of `width` units"),
        "pyramid": Family(
            layers="vae_search.vae.networks.dense:pyramid",
            meaning="`depth` dense layers, `width` units in the first, half as many in each further one",
        ),
        "conv": Family(
            layers="vae_search.vae.networks.conv:conv",
            meaning="`depth` stages: a 4×4 convolution with stride 2 each, `width` channels in the first, twice as "
            "many in each further one; then 256 dense units",
        ),
        "resnet": Family(
            layers="vae_search.vae.networks.resnet:resnet",
            meaning="the stages of `conv`, each with `blocks` residual blocks of two 3×3 convolutions; no "
            "normalisation",
            parameters={"blocks": Rule(kind=int, low=1, high=8, default=1, meaning="residual blocks per stage")},
        ),
        "hvae": Family(
            layers="vae_search.vae.networks.hierarchy.hierarchical_layers:hvae",
            meaning="the layers of `mlp` with two levels of latents, half of `latent_dim` each, and a hidden layer of "
            "`width` units between them each way",
        ),
        "hvae_conv": Family(
            layers="vae_search.vae.networks.hierarchy.hierarchical_layers:hvae_conv",
            meaning="the layers of `conv` with two levels of latents, half of `latent_dim` each, and 256 dense units "
            "between them each way",
        ),
    }
)
HIERARCHICAL = frozenset({"hvae", "hvae_conv"})
"""families of ours with two levels of latents"""
