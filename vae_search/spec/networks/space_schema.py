"""JSON Schema of a search space and its enqueued configs, with the families that are installed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vae_search.spec.hyperparameters import RULES, Rule
from vae_search.spec.networks.family import BUILT_IN, KERAS, Family
from vae_search.spec.networks.plugins import installed_families
from vae_search.spec.parameters import MAX_CHOICES
from vae_search.spec.search_space import MAX_PARAMETERS
from vae_search.spec.search_space_yaml import KEYS, MAX_ENQUEUED, OPTIONAL

_FUNCTION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["keras"],
    "properties": {"keras": {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"}},
}
_NETWORK = {"anyOf": [{"type": "string", "pattern": f"^{KERAS}"}, _FUNCTION]}
_SCALAR = {"type": ["string", "number"]}


def space_schema(families: Mapping[str, Family] = BUILT_IN) -> dict[str, Any]:
    """The JSON Schema of `search_space`.

    Args:
        families: that a spec may name, those of other packages among them.
    """
    properties = {name: _parameter_schema(_value_schema(rule), rule) for name, rule in _rules_of(families).items()}
    return {
        "type": "object",
        "description": "Where each parameter may lie. A bare value is fixed; what is left out keeps its default.",
        "minProperties": 1,
        "maxProperties": MAX_PARAMETERS,
        "additionalProperties": _parameter_schema(_SCALAR, None),
        "properties": properties,
        # Only a Keras network of one's own brings names along that nobody here knows.
        "if": {"required": ["architecture"], "properties": {"architecture": _naming(_NETWORK)}},
        "else": {"propertyNames": {"enum": [*properties]}},
    }


def configs_schema(families: Mapping[str, Family] = BUILT_IN) -> dict[str, Any]:
    """The JSON Schema of `enqueue`; see `space_schema`."""
    properties = {name: _value_schema(rule) for name, rule in _rules_of(families).items()}
    config = {
        "type": "object",
        "additionalProperties": _SCALAR,
        "properties": properties,
        "if": {"required": ["architecture"], "properties": {"architecture": _NETWORK}},
        "else": {"propertyNames": {"enum": [*properties]}},
    }
    return {"type": "array", "items": config, "maxItems": MAX_ENQUEUED, "description": "Configs that are tried first."}


def with_installed_families(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a spec, with the families that other packages bring."""
    families = installed_families()
    if families != BUILT_IN:
        for key, part in (("search_space", space_schema(families)), ("enqueue", configs_schema(families))):
            schema["properties"][key] = {**schema["properties"][key], **part}
    return schema


def _rules_of(families: Mapping[str, Family]) -> dict[str, Rule]:
    """The rules of all parameters that these families have."""
    special = {name: rule for family in families.values() for name, rule in family.parameters.items()}
    named = replace(RULES["architecture"], choices=tuple(families))
    return {**RULES, "architecture": named, **{name: rule for name, rule in special.items() if name not in RULES}}


def _naming(value: dict[str, Any]) -> dict[str, Any]:
    """Schema of a parameter that can have such a value, in whatever way it is written."""
    choices = {"required": ["choices"], "properties": {"choices": {"type": "array", "contains": value}}}
    fixed = {"required": ["value"], "properties": {"value": value}}
    one = [value, {"type": "object", **choices}, {"type": "object", **fixed}]
    return {"anyOf": [*one, {"type": "array", "contains": {"anyOf": one}}]}


def _value_schema(rule: Rule) -> dict[str, Any]:
    if rule.kind is str:
        named: dict[str, Any] = {"enum": list(rule.choices)}
        return {"anyOf": [named, _NETWORK]} if rule.choices[0] in BUILT_IN else named
    low = "exclusiveMinimum" if rule.above_low else "minimum"
    return {"type": "integer" if rule.kind is int else "number", low: rule.low, "maximum": rule.high}


def _parameter_schema(value: dict[str, Any], rule: Rule | None) -> dict[str, Any]:
    """Schema of one parameter.

    Args:
        rule: None for one that only a network from elsewhere has.
    """
    value_kind = {"anyOf": [_SCALAR, _FUNCTION]}
    scalar_or_list = {"anyOf": [value_kind, {"type": "array", "items": value_kind}]}
    shared: dict[str, Any] = {"when": {"type": "object", "minProperties": 1, "additionalProperties": scalar_or_list}}
    choices = {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_CHOICES, "uniqueItems": True}
    kinds = [
        _entry_schema("categorical", {"choices": choices} | shared),
        _entry_schema("fixed", {"value": value} | shared),
    ]
    for kind, number in (("int", int), ("float", float)):
        if rule is None or rule.kind is number:
            type_name = "integer" if number is int else "number"
            ends = value if rule else {"type": type_name}
            step = {"type": type_name, "exclusiveMinimum": 0}
            kinds.append(
                _entry_schema(kind, {"low": ends, "high": ends, "log": {"type": "boolean"}, "step": step} | shared)
            )
    return {
        "description": rule.meaning if rule else "An argument of a Keras network of one's own.",
        "anyOf": [value, *kinds, {"type": "array", "items": {"anyOf": kinds}, "minItems": 1}],
    }


def _entry_schema(kind: str, properties: Mapping[str, object]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [key for key in KEYS[kind] if key not in OPTIONAL],
        "properties": {"type": {"const": kind}, **properties},
    }
