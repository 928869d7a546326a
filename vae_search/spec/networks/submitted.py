"""Check of a submitted search space against the families from elsewhere that it names: is each there, what has it.

A space that stands in a store is not checked again: it is read where their packages are not installed.
"""

from collections.abc import Iterator, Mapping

from vae_search.core.text import did_you_mean
from vae_search.core.validation import Problems, dotted
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import RULES, families_with, is_keras, is_own
from vae_search.spec.networks.family import BUILT_IN, KERAS, Family
from vae_search.spec.networks.keras_network import BuildArguments, KerasReference, build_arguments
from vae_search.spec.networks.plugins import NETWORKS, family_of, published_networks
from vae_search.spec.networks.rule import ParamValue, Rule
from vae_search.spec.own_code.code_loading import code_of
from vae_search.spec.own_code.own_code import OwnCode
from vae_search.spec.parameters import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from vae_search.spec.search_space import SearchSpace, families_in, reached_families

ROOT = "search_space"


def own_problems(space: SearchSpace, *, over_http: bool = False) -> Problems:
    """Problems of the families from elsewhere that a space names, and of their parameters; paths from the spec on.

    Args:
        over_http: refuse, unseen, what no installed package offers: nobody is told what else is installed here.
    """
    found: Problems = []
    families: dict[str, Family | BuildArguments] = {}
    for name in families_in(space.parameters):
        if over_http and _is_unpublished(name):
            found.append(((ROOT, "architecture"), _unpublished(name)))
        elif is_own(name):
            try:
                families[name] = _arguments(name) if is_keras(name) else family_of(name)
            except InvalidSpec as error:
                found.append(((ROOT, "architecture"), " ".join(str(error).splitlines())))
    for name, each in families.items():
        if isinstance(each, BuildArguments):
            found += [((ROOT, "architecture"), text) for text in _missing(space, name, each)]
    for entry in space.parameters:
        for reached in reached_families(entry, space.parameters):
            if reached in families:
                found += [((ROOT, entry.name), text) for text in _entry_problems(entry, str(reached), families)]
    return found


def check_own(space: SearchSpace) -> None:
    """Refuse a space whose families from elsewhere are not here.

    Raises:
        InvalidSpec: One line for each problem.
    """
    if found := own_problems(space):
        raise InvalidSpec(*(f"{dotted(path)}: {text}" for path, text in found))


def code_in_use(space: SearchSpace) -> dict[str, OwnCode]:
    """Code of the families and networks from elsewhere that a space names, by architecture.

    Raises:
        InvalidSpec: It is not here.
    """
    found = {}
    for name in families_in(space.parameters):
        if is_own(name):
            reference = KerasReference.parse(name)
            found[name] = code_of(family_of(name).layers.partition(":")[0] if reference is None else reference.module)
    return found


def refuse_unpublished(space: SearchSpace) -> None:
    """Refuse Keras networks that no installed package offers by an entry point: for specs that come over HTTP.

    Raises:
        InvalidSpec: It is one.
    """
    for name in families_in(space.parameters):
        if _is_unpublished(name):
            raise InvalidSpec(f"search_space.architecture: {_unpublished(name)}")


def _is_unpublished(name: str) -> bool:
    return is_keras(name) and name.removeprefix(KERAS) not in published_networks()


def _unpublished(name: str) -> str:
    return (
        f"{name.removeprefix(KERAS)}: a spec that comes over HTTP may name only networks that an installed package "
        f"offers by an entry point of the group {NETWORKS}."
    )


def _arguments(name: str) -> BuildArguments:
    reference = KerasReference.parse(name)
    if reference is None:
        raise ValueError(f"{name} is no Keras network")
    return build_arguments(code_of(reference.module), reference)


def _missing(space: SearchSpace, name: str, arguments: BuildArguments) -> Iterator[str]:
    """Arguments without a default that the space does not always give."""
    for argument in (argument for argument, needed in arguments.needed.items() if needed):
        entries = [entry for entry in space.parameters if entry.name == argument]
        if not any(name in reached_families(entry, space.parameters) for entry in entries):
            yield f"{name.removeprefix(KERAS)} needs {argument}, which has no default. Add it to the search space."


def _entry_problems(entry: Parameter, name: str, families: Mapping[str, Family | BuildArguments]) -> Iterator[str]:
    family = families[name]
    if isinstance(family, BuildArguments):
        if (problem := family.name_problem(entry.name)) is not None:
            yield problem
        return
    rule = family.parameters.get(entry.name)
    if rule is None:
        own = entry.name not in RULES or families_with(entry.name) != tuple(BUILT_IN)
        if own or entry.name in family.ignores:
            having = [
                other for other, each in families.items() if isinstance(each, Family) and entry.name in each.parameters
            ]
            known = [*family.parameters, *(each for each in RULES if each not in family.ignores)]
            hint = f"Let it apply only `when: {{architecture: {'|'.join(having)}}}`." if having else ""
            yield f"{name} has no {entry.name}. {hint or did_you_mean(entry.name, known)}"
        return
    yield from _value_problems(entry, rule)


def _value_problems(entry: Parameter, rule: Rule) -> Iterator[str]:
    values: tuple[ParamValue, ...]
    match entry:
        case FixedParameter(value=value):
            values = (value,)
        case CategoricalParameter(choices=choices):
            values = choices
        case IntParameter() | FloatParameter():
            kind = int if isinstance(entry, IntParameter) else float
            if (problem := rule.kind_problem(entry.name, kind)) is not None:
                yield problem
                return
            values = (entry.low, entry.high)
    yield from dict.fromkeys(problem for value in values if (problem := rule.problem(value)) is not None)
