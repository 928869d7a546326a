"""Own Keras networks in a spec: `keras: "my_nets:build"`, and what the function takes, read from its source.

The source is parsed, not run: a spec is checked without TensorFlow, and before anything of it is executed.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vae_search.core.text import did_you_mean
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import RULES
from vae_search.spec.networks.family import KERAS, NETWORK_PARAMETERS
from vae_search.spec.own_code.code_loading import function_in
from vae_search.spec.own_code.own_code import OwnCode, functions_of, missing_function

GIVEN = ("image_shape", "latent_dim", "outputs_per_value")
HOW = f"`def build({', '.join(GIVEN)}, …)`"


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasReference:
    """A function in a module, as a spec names it."""

    module: str
    function: str

    @classmethod
    def parse(cls, architecture: str) -> "KerasReference | None":
        """The reference in an architecture's name; None for the name of a family."""
        if not architecture.startswith(KERAS):
            return None
        module, _, function = architecture.removeprefix(KERAS).partition(":")
        return cls(module=module, function=function)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArguments:
    """Arguments of the function beside those that every network gets.

    Args:
        needed: False for one with a default.
        open_ended: it has `**`, and takes any name.
    """

    reference: KerasReference
    needed: Mapping[str, bool]
    open_ended: bool

    def name_problem(self, name: str) -> str | None:
        """Reason why a parameter of the search space means nothing to this network, or None."""
        special = name not in RULES or name in NETWORK_PARAMETERS or RULES[name].default is not None
        if not special or name in self.needed or self.open_ended:
            return None
        told = f"{self.reference.module}:{self.reference.function} has no argument {name}."
        return f"{told} {did_you_mean(name, self.needed) if self.needed else 'It has none of its own. Leave it out.'}"


def build_arguments(code: OwnCode, reference: KerasReference) -> BuildArguments:
    """Read what the function takes.

    Raises:
        InvalidSpec: It is not there, or its arguments are not those of a network. Where, and what to write.
    """
    where = f"{reference.module}:{reference.function}"
    functions = functions_of(code, reference.module, where=where)
    if reference.function not in functions:
        told = missing_function(code, reference.module, reference.function, functions)
        raise InvalidSpec(f"{where}: {told} Write {HOW} in it.")
    arguments = functions[reference.function].args
    plain = [*arguments.args, *arguments.kwonlyargs]
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + [*arguments.defaults, *arguments.kw_defaults]
    names = {each.arg: default is None for each, default in zip(plain, defaults, strict=True)}
    if arguments.posonlyargs or arguments.vararg or not {*GIVEN} <= {*names}:
        raise InvalidSpec(
            f"{where}: must take {', '.join(GIVEN)} by name, but takes ({ast.unparse(arguments)}). Write {HOW}."
        )
    own = {name: needed for name, needed in names.items() if name not in GIVEN}
    for name in own:
        if name in RULES and name not in NETWORK_PARAMETERS and RULES[name].default is None:
            raise InvalidSpec(f"{where}: its argument {name} must have another name, since training has one called so.")
    return BuildArguments(reference=reference, needed=own, open_ended=arguments.kwarg is not None)


def build_function(reference: KerasReference) -> Callable[..., Any]:
    """The function that a spec names, imported.

    Raises:
        InvalidSpec: There is no such code, or it cannot be imported.
    """
    return function_in(reference.module, reference.function)
