"""YAML form of a search space and its enqueued configs: plain values in, plain values out."""

from collections.abc import Mapping
from typing import Any

from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import InvalidValueError, KeyPath, Problems, raise_problems
from vae_search.spec.hyperparameters import ParamValue, is_own, name_problems, rule_of
from vae_search.spec.networks.family import KERAS
from vae_search.spec.parameters import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    When,
)
from vae_search.spec.search_space import MAX_PARAMETERS, SearchSpace

MAX_ENQUEUED = 1000
KEYS = {
    "int": ("type", "low", "high", "log", "step", "when"),
    "float": ("type", "low", "high", "log", "step", "when"),
    "categorical": ("type", "choices", "when"),
    "fixed": ("type", "value", "when"),
}
OPTIONAL = ("log", "step", "when")


def read_space(tree: object) -> SearchSpace:
    """The search space that plain values describe.

    Raises:
        InvalidValueError: Everything that is wrong, with paths inside `tree`.
    """
    if isinstance(tree, SearchSpace):
        return tree
    if not isinstance(tree, dict):
        raise InvalidValueError([((), f"must be a mapping of parameters, but got {shown(tree)}.")])
    nodes: dict[str, object] = _plain(tree)
    written = [place for name, node in nodes.items() for place in _entries(name, node)]
    if not 1 <= len(written) <= MAX_PARAMETERS:
        raise InvalidValueError([((), f"must have 1 to {MAX_PARAMETERS} parameters, but got {len(written)}.")])
    found: Problems = []
    entries: list[tuple[KeyPath, Parameter]] = []
    own = _names_own_family(nodes.get("architecture"))
    for path, node in written:
        try:
            entries.append((path, _read_entry(str(path[0]), node, own=own)))
        except InvalidValueError as error:
            found += [(path + inner, sentence) for inner, sentence in error.found]
    broken = {path[0] for path, _ in found}
    if not entries:
        raise InvalidValueError(found)
    try:
        space = SearchSpace(tuple(entry for _, entry in entries))
    except InvalidValueError as error:
        for (position, *inner), sentence in error.found:
            if not broken & {*inner}:  # a condition on a parameter that is itself mistaken says nothing new
                found.append(((*entries[int(position)][0], *inner), sentence))
        raise InvalidValueError(found) from error
    raise_problems(found)
    return space


def write_space(space: SearchSpace) -> dict[str, object]:
    """Plain values that `read_space` turns into the same space."""
    tree: dict[str, object] = {}
    for name in dict.fromkeys(entry.name for entry in space.parameters):
        entries = [entry for entry in space.parameters if entry.name == name]
        match entries:
            case [FixedParameter(value=value, when=())]:
                tree[name] = value
            case [entry]:
                tree[name] = _write_entry(entry)
            case _:
                tree[name] = [_write_entry(entry) for entry in entries]
    return tree


def read_configs(tree: object) -> tuple[dict[str, ParamValue], ...]:
    """Configs to try first: a list of mappings from parameter to value; a missing parameter is left to the sampler.

    Raises:
        InvalidValueError: Everything that is wrong, with paths inside `tree`.
    """
    if not isinstance(tree, list | tuple):
        raise InvalidValueError([((), f"must be a list of configs, but got {shown(tree)}.")])
    if len(tree) > MAX_ENQUEUED:
        raise InvalidValueError([((), f"may list at most {MAX_ENQUEUED} configs, but got {len(tree)}.")])
    tree = [_plain(config) for config in tree]
    found: Problems = []
    for position, config in enumerate(tree):
        if not isinstance(config, Mapping):
            found.append(((position,), f"must be a mapping from parameter to value, but got {shown(config)}."))
            continue
        for name, value in config.items():
            unknown = name_problems(name, own=True)
            problem = unknown[0][1] if unknown else rule_of(name).problem(value)
            if problem:
                found.append(((position, name), problem))
    raise_problems(found)
    return tuple({name: rule_of(name).normal(value) for name, value in config.items()} for config in tree)


def _entries(name: str, node: object) -> list[tuple[KeyPath, object]]:
    if isinstance(node, list) and node and all(isinstance(item, dict) for item in node):
        return [((name, position), item) for position, item in enumerate(node)]
    return [((name,), node)]


def _plain(node: Any) -> Any:
    """The node with each `{keras: "module:function"}` as the name that it stands for."""
    match node:
        case {"keras": str(function)} if len(node) == 1:
            return f"{KERAS}{function}"
        case dict():
            return {key: _plain(value) for key, value in node.items()}
        case list():
            return [_plain(value) for value in node]
    return node


def _names_own_family(node: object) -> bool:
    """True if the node of `architecture` may name a family or a network that is not ours."""
    if isinstance(node, list):
        return any(map(_names_own_family, node))
    if isinstance(node, Mapping):
        return any(map(_names_own_family, (node.get("value"), node.get("choices"))))
    return is_own(node)


def _read_entry(name: str, node: object, *, own: bool) -> Parameter:
    if found := name_problems(name, own=own):
        raise InvalidValueError([((), sentence) for _, sentence in found])
    if isinstance(node, list):
        hint = f"{{type: categorical, choices: {shown(node)}}}"
        raise InvalidValueError([((), f"a list holds alternatives, mappings with `when`. For choices write {hint}.")])
    if not isinstance(node, dict):
        raise_problems([((), problem)] if (problem := rule_of(name).problem(node)) else [])
        return _build("fixed", name, {"value": node, "own": own}, ())
    return _read_mapping(name, node, own=own)


def _read_mapping(name: str, node: Mapping[str, object], *, own: bool) -> Parameter:
    kind = node.get("type")
    if not isinstance(kind, str) or kind not in KEYS:
        said = f"but got {shown(kind)}" if "type" in node else "but it is missing"
        path: KeyPath = ("type",) if "type" in node else ()
        raise InvalidValueError([(path, f"type must be one of {', '.join(KEYS)}, {said}.")])
    found: Problems = [
        ((key,), f"unknown key. {did_you_mean(key, KEYS[kind])}") for key in node if key not in KEYS[kind]
    ]
    values = {key: node.get(key) for key in KEYS[kind][1:] if key in node or key not in OPTIONAL}
    missing = values.keys() - node.keys()
    found += [((key,), f"is missing, but a parameter of type {kind} needs it. Add it.") for key in sorted(missing)]
    try:
        when = _read_when(values.pop("when", {}))
    except InvalidValueError as error:
        found += [(("when", *path), sentence) for path, sentence in error.found]
        when = ()
    try:
        parameter = _build(kind, name, values | {"own": own}, when)
    except InvalidValueError as error:
        raise_problems(found + [(path, sentence) for path, sentence in error.found if path[0] not in missing])
        raise
    raise_problems(found)
    return parameter


def _build(kind: str, name: str, values: Mapping[str, Any], when: When) -> Parameter:
    """The parameter; its own checks see to the types."""
    match kind:
        case "int":
            return IntParameter(name=name, when=when, **values)
        case "float":
            return FloatParameter(name=name, when=when, **values)
        case "categorical":
            return CategoricalParameter(name=name, when=when, **values)
        case _:
            return FixedParameter(name=name, when=when, **values)


def _read_when(node: object) -> When:
    if not isinstance(node, dict):
        raise InvalidValueError([((), f"must be a mapping like {{architecture: conv}}, but got {shown(node)}.")])
    when: dict[str, tuple[Any, ...]] = {}
    for parent, allowed in node.items():
        when[parent] = tuple(allowed) if isinstance(allowed, list) else (allowed,)
    return tuple(when.items())


def _write_entry(entry: Parameter) -> dict[str, object]:
    node: dict[str, object]
    match entry:
        case FloatParameter(low=low, high=high, log=log, step=step):
            node = {"type": "float", "low": low, "high": high, "log": log, **({} if step is None else {"step": step})}
        case IntParameter(low=low, high=high, log=log, step=step):
            node = {"type": "int", "low": low, "high": high, "log": log, "step": step}
        case CategoricalParameter(choices=choices):
            node = {"type": "categorical", "choices": list(choices)}
        case FixedParameter(value=value):
            node = {"type": "fixed", "value": value}
    return node | ({"when": {parent: list(allowed) for parent, allowed in entry.when}} if entry.when else {})
