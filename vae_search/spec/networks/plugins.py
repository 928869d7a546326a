"""Families that other packages bring, by entry points of the group `vae_search.families`.

Their names are read from the packages' metadata. A declaration is imported when its family is used, and its layers when
a network is built: a package that is broken is in the way of nobody who does not name it. Both are run from the very
bytes that `code_of` finds and hashes, as own networks are, and never from what this process has imported before.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vae_search.core.text import did_you_mean, printable
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import RULES
from vae_search.spec.networks.family import BUILT_IN, Family
from vae_search.spec.own_code.code_loading import function_in

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "vae_search.families"
NETWORKS = "vae_search.networks"
"""group of Keras networks that specs over HTTP may name, by the object `module:function`"""


def family_of(name: str) -> Family:
    """The declaration of a family.

    Raises:
        InvalidSpec: No installed package has it, several have, or the package's declaration is broken. The package is
            named.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    points = entry_points()
    if name not in points:
        raise InvalidSpec(f"{name!r} is unknown. {did_you_mean(name, [*BUILT_IN, *points])}")
    return _declared(points[name])


def entry_points() -> "Mapping[str, tuple[EntryPoint, ...]]":
    """Entry points of the group by name, from the packages' metadata: nothing is imported."""
    from importlib import metadata  # the heaviest of the standard library in here

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in metadata.entry_points(group=GROUP):
        known = found.get(point.name, ())
        if not any(_package(point) == _package(other) for other in known):  # a package that is found twice on the path
            found[point.name] = (*known, point)
    return found


def installed_families() -> dict[str, Family]:
    """Ours and those of installed packages whose declarations are sound."""
    found = dict(BUILT_IN)
    for name in entry_points():
        with suppress(InvalidSpec):
            found[name] = family_of(name)
    return found


def published_networks() -> frozenset[str]:
    """Functions, as `module:function`, that installed packages offer to specs over HTTP."""
    from importlib import metadata

    return frozenset(point.value for point in metadata.entry_points(group=NETWORKS))


def shown_packages(name: str) -> str:
    """Package and version that bring a family."""
    return " and ".join(map(_package, entry_points().get(name, ())))


def layers_function(name: str) -> Callable[[Any], Any]:
    """The function that makes a family's layers, imported.

    Raises:
        InvalidSpec: It cannot be imported, or takes other arguments.
    """
    family = family_of(name)
    module, _, function = family.layers.partition(":")
    if name in BUILT_IN:
        found: Callable[[Any], Any] = getattr(import_module(module), function)
        return found
    where = f"family {name} of {shown_packages(name)}"
    found = _loaded(module, function, where=where)
    if not callable(found) or not _takes_one(found):
        raise InvalidSpec(f"{where}: {family.layers} must be a function of one argument, the NetworkSpec.")
    return found


def _declared(points: "tuple[EntryPoint, ...]") -> Family:
    point, name = points[0], points[0].name
    if len(points) > 1:
        raise InvalidSpec(
            f"family {name}: is brought by {' and by '.join(map(_package, points))}, so nobody can tell which is meant."
            "\nUninstall one of them."
        )
    where = f"family {name} of {_package(point)}"
    found = _loaded(point.module, point.attr, where=where)
    if not isinstance(found, Family):
        raise InvalidSpec(f"{where}: {point.value} must be a vae_search Family, but is a {type(found).__name__}.")
    for parameter, rule in found.parameters.items():
        if RULES.get(parameter, rule) != rule:
            raise InvalidSpec(f"{where}: its parameter {parameter} must have another name, since every spec knows one.")
    return found


def _loaded(module: str, name: str, *, where: str) -> Any:
    try:
        return function_in(module, name)
    except InvalidSpec as error:
        told = " ".join(str(error).splitlines())
        raise InvalidSpec(f"{where}: {told}\nMend or update the package, or use another architecture.") from error


def _package(point: "EntryPoint") -> str:
    if point.dist is None:
        return printable(point.value)
    return f"{point.dist.metadata['Name']} {point.dist.version}"


def _takes_one(function: Callable[..., Any]) -> bool:
    from inspect import Parameter, signature

    try:
        signature(function).bind(None)
    except (TypeError, ValueError):
        return False
    return all(each.kind is not Parameter.KEYWORD_ONLY for each in signature(function).parameters.values())
