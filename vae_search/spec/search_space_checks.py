"""Checks of ranges, lists of choices and conditions, and of a value against a range."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from vae_search.core.text import shown
from vae_search.core.validation import Problems
from vae_search.spec.hyperparameters import RULES, ParamValue, name_problems

MAX_CHOICES = 1000
_GRID_SLACK = 1e-6  # of a step: 0.1 + 0.2 is a point of the grid 0, 0.1 … 0.3


def range_problems(name: str, kind: type[int] | type[float], bounds: Mapping[str, object]) -> Problems:
    """Problems of a range of whole or real numbers; `bounds` has `low`, `high`, `log` and `step`."""
    if found := name_problems(name):
        return found
    rule, (low, high, log, step) = RULES[name], (bounds[key] for key in ("low", "high", "log", "step"))
    if rule.kind is not kind:
        right = {int: "type: int", float: "type: float", str: "type: categorical"}[rule.kind]
        return [(("type",), f"{name} is {rule.kind_name}, so it needs {right}, but got type: {kind.__name__}.")]
    for key, bound in (("low", low), ("high", high)):
        by_log = log is True and key == "low" and _is_number(bound, kind) and bound <= 0  # said better below
        if not by_log and (problem := rule.problem(bound)):
            found.append(((key,), problem))
    if not isinstance(log, bool):
        found.append((("log",), f"must be true or false, but got {shown(log)}."))
    if not (step is None and kind is float) and not (_is_number(step, kind) and step > 0):
        found.append((("step",), f"must be {rule.kind_name} > 0, but got {shown(step)}."))
    if found or not (_is_number(low, kind) and _is_number(high, kind)):
        return found
    grid = step if _is_number(step, kind) else None
    if log is True and grid is not None and (kind is float or grid != 1):
        found.append((("step",), f"`log` and `step` exclude each other, but got step={shown(grid)}. Drop one."))
    return found + _relation_problems(low, high, log is True, grid)


def choices_problems(name: str, choices: object) -> Problems:
    """Problems of a list of choices."""
    if found := name_problems(name):
        return found
    if not isinstance(choices, list | tuple) or not choices:
        return [(("choices",), f"must list at least one value, but got {shown(choices)}.")]
    if len(choices) > MAX_CHOICES:
        return [(("choices",), f"may list at most {MAX_CHOICES} values, but got {len(choices)}. Use a range.")]
    for position, choice in enumerate(choices):
        if problem := RULES[name].problem(choice):
            found.append((("choices", position), problem))
        elif (first := choices.index(choice)) < position:
            found.append((("choices", position), f"{shown(choice)} is already choice {first + 1}. Keep one."))
    return found


def family_problem(name: str, reached: Sequence[ParamValue]) -> str | None:
    """Reason why a parameter may not apply to all of these families, or None. A sampler would search without effect."""
    families = RULES[name].families
    strangers = [family for family in reached if family not in families]
    if not strangers:
        return None
    return f"{strangers[0]} has no {name}. Let it apply only `when: {{architecture: {'|'.join(families)}}}`."


def outside(value: ParamValue, low: float, high: float, step: float | None) -> str | None:
    """Reason why `value` is not in low..high or not on the grid that starts at `low`, or None."""
    slack = 0.0 if step is None else step * _GRID_SLACK
    if isinstance(value, str) or not low - slack <= value <= high + slack:
        return f"must lie in {shown(low)}..{shown(high)}, but got {shown(value)}."
    if step is not None and not _on_grid(value, low, step):
        return f"must be {shown(low)} plus a multiple of step {shown(step)}, but got {shown(value)}."
    return None


def _relation_problems(low: float, high: float, log: bool, step: float | None) -> Problems:
    found: Problems = []
    if log and low <= 0:
        found.append((("low",), f"a log scale needs low > 0, but got {shown(low)}. Raise low or drop log: true."))
    if low > high:
        values = f"low={shown(low)}, high={shown(high)}"
        found.append((("low",), f"`low <= high` must hold, but got ({values}). Swap them."))
    elif step is not None and low < high:
        if step > high - low and not math.isclose(step, high - low):
            values = f"step={shown(step)}, low={shown(low)}, high={shown(high)}"
            found.append((("step",), f"`step <= high - low` must hold, but got ({values}). Lower step."))
        elif not _on_grid(high, low, step):
            values = f"step={shown(step)}, low={shown(low)}, high={shown(high)}"
            found.append((("step",), f"`high` must be low plus a multiple of step, but got ({values}). Move high."))
    return found


def _on_grid(value: float, low: float, step: float) -> bool:
    steps = (value - low) / step
    return math.isfinite(steps) and abs(steps - round(steps)) < _GRID_SLACK


def _is_number(value: object, kind: type[int] | type[float]) -> TypeGuard[float]:
    return isinstance(value, int | kind) and not isinstance(value, bool)
