"""Search space: the range of each parameter of a sweep, and the conditions under which it applies.

A `SearchSpace` says which points a sweep may try; parameters that it leaves out keep the default of `Config`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import Problems, raise_problems
from vae_search.spec.hyperparameters import (
    ACTIVATIONS,
    ARCHITECTURES,
    RULES,
    Config,
    ParamValue,
    name_problems,
    set_frozen,
)
from vae_search.spec.search_space_checks import choices_problems, family_problem, outside, range_problems

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "RULES",
    "CategoricalParameter",
    "Config",
    "FixedParameter",
    "FloatParameter",
    "IntParameter",
    "ParamValue",
    "Parameter",
    "SearchSpace",
    "When",
]

When = tuple[tuple[str, tuple[ParamValue, ...]], ...]  # each parent and the values under which the child applies
MAX_PARAMETERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Common part of all kinds of parameters: a name and the conditions under which it applies."""

    name: str
    when: When = ()

    @property
    def key(self) -> str:
        """Unique within a space: the name, and the conditions if there are any."""
        return f"{self.name}[{_condition(self.when)}]" if self.when else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter(_Entry):
    """A real number from `low` to `high`, both included; on a log scale, or on a grid of `step`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        bounds = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        raise_problems(range_problems(self.name, float, bounds) + _when_problems(self))
        step = None if self.step is None else float(self.step)
        set_frozen(self, low=float(self.low), high=float(self.high), step=step, when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not in this range, or None."""
        return RULES[self.name].problem(value) or outside(value, self.low, self.high, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntParameter(_Entry):
    """A whole number from `low` to `high`, both included; on a log scale, or on a grid of `step`."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        bounds = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        raise_problems(range_problems(self.name, int, bounds) + _when_problems(self))
        set_frozen(self, when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not in this range, or None."""
        return RULES[self.name].problem(value) or outside(value, self.low, self.high, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalParameter(_Entry):
    """One of several values of one type, without an order."""

    choices: tuple[ParamValue, ...]

    def __post_init__(self) -> None:
        raise_problems(choices_problems(self.name, self.choices) + _when_problems(self))
        choices = tuple(RULES[self.name].normal(choice) for choice in self.choices)
        set_frozen(self, choices=choices, when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not one of the choices, or None."""
        if (problem := RULES[self.name].problem(value)) or value in self.choices:
            return problem
        return f"must be one of {shown(self.choices)}, but got {shown(value)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedParameter(_Entry):
    """A value that the sweep does not search."""

    value: ParamValue

    def __post_init__(self) -> None:
        found = name_problems(self.name)
        if not found and (problem := RULES[self.name].problem(self.value)):
            found = [(("value",), problem)]
        raise_problems(found + _when_problems(self))
        set_frozen(self, value=RULES[self.name].normal(self.value), when=_settled_when(self.when))

    def problem(self, value: ParamValue) -> str | None:
        """Why `value` is not the fixed one, or None."""
        if (problem := RULES[self.name].problem(value)) or value == self.value:
            return problem
        return f"is fixed at {shown(self.value)}, but got {shown(value)}."


Parameter = FloatParameter | IntParameter | CategoricalParameter | FixedParameter


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The parameters of a sweep, parents of conditions first, otherwise in the order of `RULES`.

    Several entries may share one name if their conditions exclude each other. A parameter whose parent does not apply
    does not apply either; it then keeps its default.

    Raises:
        ValueError: An `InvalidValueError`; its paths start with the entry's position in the tuple as given.
    """

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        raise_problems(_space_problems(self.parameters))
        set_frozen(self, parameters=_in_order(self.parameters))

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The entries that a sampler decides."""
        return tuple(parameter for parameter in self.parameters if not isinstance(parameter, FixedParameter))

    def suggest(self, draw: Callable[[Parameter], ParamValue]) -> dict[str, ParamValue]:
        """Walk the parameters, parents first, and draw those that apply; returns all of these, fixed ones included."""
        values: dict[str, ParamValue] = {}
        for parameter in self.parameters:
            if _holds(parameter.when, values):
                values[parameter.name] = parameter.value if isinstance(parameter, FixedParameter) else draw(parameter)
        return values

    def active(self, params: Mapping[str, ParamValue]) -> tuple[Parameter, ...]:
        """The entries that apply to these parameters."""
        return tuple(parameter for parameter in self.parameters if _holds(parameter.when, params))

    def problems(self, params: Mapping[str, ParamValue], *, partial: bool = False) -> list[str]:
        """Reasons why `params` is not a point of this space, one `name: sentence` each; empty if it is one.

        With `partial`, parameters may be missing (a sampler fills them in), and a value is accepted if it
        fits any entry that what is given does not rule out.
        """
        return [f"{name}: {sentence}" for name, sentence in point_problems(self, params, partial=partial)]


def point_problems(
    space: SearchSpace, params: Mapping[str, ParamValue], *, partial: bool = False
) -> list[tuple[str, str]]:
    """Problems of a point, as pairs of (name, sentence)."""
    names = dict.fromkeys(parameter.name for parameter in space.parameters)
    found = [(name, _not_declared(name, names)) for name in params if name not in names]
    undecided: set[str] = set()  # not given, but a sampler may still give it a value
    for name in names:
        entries = [p for p in space.parameters if p.name == name]
        possible = [entry for entry in entries if _holds(entry.when, params, undecided)]
        if name in params and not possible:
            conditions = " or ".join(_condition(entry.when) for entry in entries)
            found.append((name, f"does not apply here: it needs {conditions}. Leave it out."))
        elif name in params:
            verdicts = [entry.problem(params[name]) for entry in possible]
            if None not in verdicts:
                found.append((name, str(verdicts[0])))
        elif possible and partial:
            undecided.add(name)
        elif possible:
            found.append((name, "is missing."))
    return found


def _holds(when: When, values: Mapping[str, ParamValue], undecided: Collection[str] = ()) -> bool:
    return all((values[name] in allowed) if name in values else name in undecided for name, allowed in when)


def _condition(when: When) -> str:
    return ",".join(f"{name}={'|'.join(str(value) for value in allowed)}" for name, allowed in when)


def _not_declared(name: str, names: Collection[str]) -> str:
    if name in RULES:
        return f"is not part of this search space, so it is always {shown(getattr(Config(), name))}."
    return f"no parameter is called {shown(name)}. {did_you_mean(name, names)}"


def _settled_when(when: When) -> When:
    order = list(RULES)
    settled = [(name, tuple(RULES[name].normal(value) for value in allowed)) for name, allowed in when]
    return tuple(sorted(settled, key=lambda condition: order.index(condition[0])))


def _when_problems(entry: _Entry) -> Problems:
    found: Problems = []
    for parent, allowed in entry.when:
        if parent == entry.name:
            found.append((("when", parent), "a parameter cannot depend on itself. Drop the condition."))
        elif parent not in RULES:
            found.append((("when", parent), f"no parameter is called {shown(parent)}. {did_you_mean(parent, RULES)}"))
        elif not allowed:
            found.append((("when", parent), "must list at least one value, but got []."))
        else:
            problems = (RULES[parent].problem(value) for value in allowed)
            found += [(("when", parent), problem) for problem in problems if problem]
    return found


def _space_problems(parameters: tuple[Parameter, ...]) -> Problems:
    if not 1 <= len(parameters) <= MAX_PARAMETERS:
        return [((), f"must have 1..{MAX_PARAMETERS} parameters, but got {len(parameters)}.")]
    found: Problems = []
    for position, entry in enumerate(parameters):
        for parent, allowed in entry.when:
            parents = [other for other in parameters if other.name == parent]
            never = [value for value in allowed if not any(_can_be(other, value) for other in parents)]
            if never:
                reason = f"{parent} can never be {shown(never[0])}"
                if not parents:
                    reason = f"{parent} is not in the search space, so it is always {shown(getattr(Config(), parent))}"
                found.append(((position, "when", parent), f"{reason}. Change the condition or {parent}."))
        reached = dict(entry.when).get("architecture") or _families(parameters)
        if problem := family_problem(entry.name, reached):
            found.append(((position, "when", "architecture"), problem))
        for other in parameters[:position]:
            if other.name == entry.name and not _exclude(other.when, entry.when):
                pair = f"`{other.key}` and `{entry.key}`"
                found.append(
                    ((position,), f"{pair} can apply at once. Give them a `when` on one parameter, no value twice.")
                )
    return found or _cycle_problems(parameters)


def _families(parameters: tuple[Parameter, ...]) -> list[str]:
    """The values that `architecture` can have."""
    entries = [entry for entry in parameters if entry.name == "architecture"]
    found = [name for name in ARCHITECTURES if any(_can_be(entry, name) for entry in entries)]
    return found if entries else [Config().architecture]


def _can_be(entry: Parameter, value: ParamValue) -> bool:
    """True if a draw can equal `value`; a draw from a continuous range hits no given number."""
    continuous = isinstance(entry, FloatParameter) and entry.step is None and entry.low < entry.high
    return not continuous and entry.problem(value) is None


def _exclude(when: When, other: When) -> bool:
    return any(a == b and not set(some) & set(others) for a, some in when for b, others in other)


def _parents(parameters: tuple[Parameter, ...]) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {parameter.name: [] for parameter in parameters}
    for parameter in parameters:
        parents[parameter.name] += [name for name, _ in parameter.when]
    return parents


def _cycle_problems(parameters: tuple[Parameter, ...]) -> Problems:
    try:
        TopologicalSorter(_parents(parameters)).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        position = next(i for i, parameter in enumerate(parameters) if parameter.name == circle[0] and parameter.when)
        text = f"the conditions run in a circle: {' needs '.join(circle)}. Drop one of them."
        return [((position, "when"), text)]
    return []


def _in_order(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Sort parents first, otherwise as in `RULES`: the order in which a spec names its parameters must not matter."""
    parents = _parents(parameters)
    order: list[str] = []
    while len(order) < len(parents):
        order.append(
            next(name for name in RULES if name in parents and name not in order and {*parents[name]} <= {*order})
        )
    return tuple(sorted(parameters, key=lambda parameter: order.index(parameter.name)))
