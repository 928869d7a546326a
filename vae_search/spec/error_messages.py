"""Error messages for the findings of pydantic: the rule, the value found, the advice."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from vae_search.core.references import NAME_LAW
from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import InvalidValueError, KeyPath, Problems, dotted
from vae_search.spec.measures.metrics import LAWS as METRIC_LAWS

_EXAMPLES: Mapping[KeyPath, str] = {
    ("name",): "name: my-sweep",
    ("data",): "data: {source: digits}",
    ("data", "source"): "source: digits",
    ("search_space",): "search_space: {latent_dim: {type: int, low: 2, high: 16}}",
    ("budget",): "budget: {trials: 24, epochs: 27}",
    ("budget", "trials"): "trials: 24",
    ("budget", "epochs"): "epochs: 27",
}
# Keys that people bring and that nothing here is called by, though a key of another meaning may be.
_NEEDLESS: Mapping[KeyPath, str] = {
    ("data", "labels"): "Labels come with the images. Models see them with data.condition: label.",
}
_LAWS: Mapping[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "string_type": "must be text",
    "greater_than": "must be > {gt:.15g}",
    "greater_than_equal": "must be >= {ge:.15g}",
    "less_than": "must be < {lt:.15g}",
    "less_than_equal": "must be <= {le:.15g}",
    "string_too_short": "must not be empty",
}


def found_by_pydantic(error: ValidationError, keys: Mapping[KeyPath, Sequence[str]]) -> Problems:
    """All mistakes of a validation. `keys` says which keys each mapping of the spec may have."""
    found: Problems = []
    for detail in error.errors(include_url=False):
        path: KeyPath = tuple(detail["loc"])
        cause = detail.get("ctx", {}).get("error")
        if detail["type"] == "default_factory_not_called":  # waits for a key that is itself mistaken
            continue
        if isinstance(cause, InvalidValueError):
            found += [(path + inner, sentence) for inner, sentence in cause.found]
        else:
            found.append((path, _sentence(path, detail, keys)))
    return found


def _sentence(path: KeyPath, detail: Mapping[str, Any], keys: Mapping[KeyPath, Sequence[str]]) -> str:
    kind, got, context = detail["type"], shown(detail["input"]), detail.get("ctx", {})
    match kind:
        case "missing":
            example = f", for example `{_EXAMPLES[path]}`" if path in _EXAMPLES else ""
            return f"is missing, but every sweep needs it. Add it{example}."
        case "extra_forbidden":
            return f"unknown key. {_other_key(path, keys)}"
        case "literal_error":
            options = re.findall(r"'([^']*)'", context["expected"])
            hint = did_you_mean(str(detail["input"]), options)
            return f"must be one of {', '.join(options)}, but got {got}." + (f" {hint}" if "Did" in hint else "")
        case "model_type" | "dict_type":
            return f"must be a mapping with the keys {', '.join(keys.get(path, ()))}, but got {got}."
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"{METRIC_LAWS.get(context['pattern'], NAME_LAW)}, but got {got}."
    law = _LAWS.get(kind, "").format(**context) or str(detail["msg"])
    return f"{law}, but got {got}."


def _other_key(path: KeyPath, keys: Mapping[KeyPath, Sequence[str]]) -> str:
    if path in _NEEDLESS:
        return _NEEDLESS[path]
    word = str(path[-1])
    elsewhere = [dotted((*place, word)) for place, known in keys.items() if word in known]
    return f"Did you mean {elsewhere[0]}?" if elsewhere else did_you_mean(word, keys[path[:-1]])
