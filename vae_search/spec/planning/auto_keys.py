"""Auto keys: settings of a spec that `run` decides when a sweep begins, by its minutes and the speed it measures.

A spec holds provisional numbers in their place, with which it can be checked, and the names of those keys. Its JSON has
`auto` there, so that it is the same spec when it is read again.
"""

from collections.abc import Collection, Mapping
from typing import Any

from vae_search.core.validation import raise_problems

AUTO = "auto"
TRIALS, EPOCHS, PRUNING, LR_SCHEDULE = "budget.trials", "budget.epochs", "pruning", "lr_schedule"
FINALISTS, SEEDS = "confirm.finalists", "confirm.seeds"
CONFIRM_EPOCHS = "confirm.epochs"  # whose `auto` stays: it is decided when the search is over
AUTO_KEYS = (TRIALS, EPOCHS, PRUNING, LR_SCHEDULE, FINALISTS, SEEDS)
PROVISIONAL_TRIALS, PROVISIONAL_RUNG = 48, 3
RUNG_SHARE = 9  # of the epochs, at which the first rung stands


def split_auto(tree: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The tree of a spec with numbers in place of every `auto`, and the keys that had it.

    With minutes, a number of trials or epochs that is left out is auto; with auto epochs, so is what else a plan
    decides.

    Raises:
        InvalidValueError: There is an `auto`, but no time to divide.
    """
    budget = tree.get("budget")
    if not isinstance(budget, Mapping):
        return dict(tree), frozenset()
    has_minutes = budget.get("minutes") is not None
    confirm = tree.get("confirm", {})
    written = {key for key in (*AUTO_KEYS, CONFIRM_EPOCHS) if _value(tree, key) == AUTO}
    if written and not has_minutes:
        raise_problems([(tuple(key.split(".")), _without_minutes()) for key in sorted(written)])
    left_out = {key for key in (TRIALS, EPOCHS) if has_minutes and _value(tree, key) is None}
    auto = (written | left_out) - {CONFIRM_EPOCHS}
    new = {key: dict(part) if isinstance(part, Mapping) else part for key, part in tree.items()}
    if EPOCHS in auto:
        auto |= {key for key in (PRUNING, LR_SCHEDULE) if key not in tree}
        if isinstance(confirm, Mapping) and confirm.get("finalists") != 0:
            auto |= {key for key in (FINALISTS, SEEDS) if _value(tree, key) is None}
            new["confirm"] = {"epochs": AUTO} | dict(confirm)
    if not auto:
        return new, frozenset()
    if PRUNING in auto and EPOCHS not in auto:  # one rule serves every number of epochs
        auto -= {PRUNING}
        del new["pruning"]
    provisional = _provisional(new)
    for key in sorted(auto):
        _put(new, key, provisional[key])
    return new, frozenset(auto)


def with_auto(tree: dict[str, Any], auto: Collection[str]) -> dict[str, Any]:
    """The tree with `auto` at these keys."""
    for key in auto:
        _put(tree, key, AUTO)
    return tree


def values_at(tree: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """The values at these keys."""
    return {key: _value(tree, key) for key in keys}


def with_values(tree: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with other values at some keys."""
    for key, value in values.items():
        _put(tree, key, value)
    return tree


def longest_warmup_written(tree: Mapping[str, Any]) -> int:
    """The largest whole number that stands at the KL warm-up of a search space that has not been read yet."""
    space = tree.get("search_space")
    return _largest_integer(space.get("kl_warmup_epochs", 0)) if isinstance(space, Mapping) else 0


def schema_with_auto(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a spec, in which these keys may be `auto`, and trials and epochs may be left out."""
    for key in AUTO_KEYS:
        place = schema
        *sections, name = key.split(".")
        for section in sections:
            place = _resolved(schema, place["properties"][section])
        entry = place["properties"][name]
        description = {"description": entry.pop("description")} if "description" in entry else {}
        place["properties"][name] = {"anyOf": [{"const": AUTO}, entry], **description}
        if name in place.get("required", ()):
            place["required"] = [each for each in place["required"] if each != name]
    return schema


def _resolved(schema: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    reference = entry.get("$ref") or entry["anyOf"][0]["$ref"]
    found: dict[str, Any] = schema["$defs"][str(reference).rpartition("/")[2]]
    return found


def _provisional(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that a spec can be checked with, whatever its warm-up and its enqueued configs are."""
    pruning, enqueue = tree.get("pruning"), tree.get("enqueue")
    given = pruning.get("min_epochs") if isinstance(pruning, Mapping) else None
    rung = max(PROVISIONAL_RUNG, longest_warmup_written(tree) + 1, given if isinstance(given, int) else 0)
    return {
        TRIALS: max(PROVISIONAL_TRIALS, len(enqueue) if isinstance(enqueue, list) else 0),
        EPOCHS: RUNG_SHARE * rung,
        PRUNING: {"min_epochs": rung},
        LR_SCHEDULE: "constant",
        FINALISTS: 1,
        SEEDS: 3,
    }


def _largest_integer(value: object) -> int:
    if isinstance(value, Mapping):
        return max(map(_largest_integer, value.values()), default=0)
    if isinstance(value, list | tuple):
        return max(map(_largest_integer, value), default=0)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _value(tree: Mapping[str, Any], key: str) -> Any:
    place: Any = tree
    for part in key.split("."):
        if not isinstance(place, Mapping):
            return None
        place = place.get(part)
    return place


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    place = tree
    for section in sections:
        if not isinstance(place.get(section), dict):
            place[section] = {}
        place = place[section]
    place[name] = value


def _without_minutes() -> str:
    return "auto divides budget.minutes, but there are none. Set them, or write a number."
