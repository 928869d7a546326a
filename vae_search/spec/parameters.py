"""Parameters of a search space: ranges, choices, fixed values, and the conditions under which they apply."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import Problems, raise_problems
from vae_search.spec.hyperparameters import RULES, ParamValue, name_problems, rule_of, set_frozen
from vae_search.spec.networks.rule import same_kind

When = tuple[tuple[str, tuple[ParamValue, ...]], ...]  # each parent and the values under which the child applies
MAX_CHOICES = 1000
_GRID_SLACK = 1e-6  # of a step: 0.1 + 0.2 is a point of the grid 0, 0.1 … 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Common part of all kinds of parameters: a name and the conditions under which it applies.

    Args:
        own: the space names a family or network from elsewhere, so names may be those of its parameters.
    """

    name: str
    when: When = ()
    own: bool = field(default=False, compare=False, repr=False)

    @property
    def key(self) -> str:
        """Unique within a space: the name, and the conditions if there are any."""
        return f"{self.name}[{condition_text(self.when)}]" if self.when else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter(_Entry):
    """A real number from `low` to `high`, both included; on a log scale, or on a grid of `step`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        bounds = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        raise_problems(_range_problems(self, float, bounds) + _when_problems(self))
        step = None if self.step is None else float(self.step)
        set_frozen(self, low=float(self.low), high=float(self.high), step=step, when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not in this range, or None."""
        return rule_of(self.name).problem(value) or _outside(value, self.low, self.high, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter(_Entry):
    """A whole number from `low` to `high`, both included; on a log scale, or on a grid of `step`."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        bounds = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        raise_problems(_range_problems(self, int, bounds) + _when_problems(self))
        set_frozen(self, when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not in this range, or None."""
        return rule_of(self.name).problem(value) or _outside(value, self.low, self.high, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter(_Entry):
    """One of several values of one type, without an order."""

    choices: tuple[ParamValue, ...]

    def __post_init__(self) -> None:
        raise_problems(_choices_problems(self, self.choices) + _when_problems(self))
        choices = tuple(rule_of(self.name).normal(choice) for choice in self.choices)
        set_frozen(self, choices=choices, when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not one of the choices, or None."""
        if (problem := rule_of(self.name).problem(value)) or value in self.choices:
            return problem
        return f"must be one of {shown(self.choices)}, but got {shown(value)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedParameter(_Entry):
    """A value that the sweep does not search."""

    value: ParamValue

    def __post_init__(self) -> None:
        found = name_problems(self.name, own=self.own)
        if not found and (problem := rule_of(self.name).problem(self.value)):
            found = [(("value",), problem)]
        raise_problems(found + _when_problems(self))
        set_frozen(self, value=rule_of(self.name).normal(self.value), when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not the fixed one, or None."""
        if (problem := rule_of(self.name).problem(value)) or value == self.value:
            return problem
        return f"is fixed at {shown(self.value)}, but got {shown(value)}."


Parameter = FloatParameter | IntParameter | CategoricalParameter | FixedParameter


def place_of(name: str) -> tuple[int, str]:
    """Place of a parameter in the order of all: as in `RULES`, then those that only networks from elsewhere have."""
    return (list(RULES).index(name) if name in RULES else len(RULES), name)


def condition_text(when: When) -> str:
    """Conditions as messages and keys show them: `architecture=conv|resnet`."""
    return ",".join(f"{name}={'|'.join(str(value) for value in allowed)}" for name, allowed in when)


def _settled_when(when: When) -> When:
    settled = [(name, tuple(rule_of(name).normal(value) for value in allowed)) for name, allowed in when]
    return tuple(sorted(settled, key=lambda condition: place_of(condition[0])))


def _when_problems(entry: _Entry) -> Problems:
    found: Problems = []
    for parent, allowed in entry.when:
        if parent == entry.name:
            found.append((("when", parent), "a parameter cannot depend on itself. Drop the condition."))
        elif name_problems(parent, own=entry.own):
            found.append((("when", parent), f"no parameter is called {shown(parent)}. {did_you_mean(parent, RULES)}"))
        elif not allowed:
            found.append((("when", parent), "must list at least one value, but got []."))
        else:
            problems = (rule_of(parent).problem(value) for value in allowed)
            found += [(("when", parent), problem) for problem in problems if problem]
    return found


def _range_problems(entry: _Entry, kind: type[int] | type[float], bounds: Mapping[str, object]) -> Problems:
    """Problems of a range of whole or real numbers; `bounds` has `low`, `high`, `log` and `step`."""
    name = entry.name
    if found := name_problems(name, own=entry.own):
        return found
    rule, (low, high, log, step) = rule_of(name), (bounds[key] for key in ("low", "high", "log", "step"))
    if (problem := rule.kind_problem(name, kind)) is not None:
        return [(("type",), problem)]
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


def _choices_problems(entry: _Entry, choices: object) -> Problems:
    """Problems of a list of choices."""
    name = entry.name
    if found := name_problems(name, own=entry.own):
        return found
    if not isinstance(choices, list | tuple) or not choices:
        return [(("choices",), f"must list at least one value, but got {shown(choices)}.")]
    if len(choices) > MAX_CHOICES:
        return [(("choices",), f"may list at most {MAX_CHOICES} values, but got {len(choices)}. Use a range.")]
    for position, choice in enumerate(choices):
        if problem := rule_of(name).problem(choice):
            found.append((("choices", position), problem))
        elif (first := choices.index(choice)) < position:
            found.append((("choices", position), f"{shown(choice)} is already choice {first + 1}. Keep one."))
    if not found and not same_kind(choices):
        found.append((("choices",), f"must all be names, or all numbers, but got {shown(choices)}."))
    return found


def _outside(value: ParamValue, low: float, high: float, step: float | None) -> str | None:
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
