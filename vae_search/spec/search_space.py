"""Search space: the range of each parameter of a sweep, and the conditions under which it applies.

A `SearchSpace` says which points a sweep may try; parameters that it leaves out keep the default of `Config`.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from vae_search.core.text import did_you_mean, shown
from vae_search.core.validation import Problems, raise_problems
from vae_search.spec.hyperparameters import (
    ARCHITECTURES,
    LEARNED_PRIORS,
    RULES,
    Config,
    ParamValue,
    families_with,
    is_own,
    rule_of,
    set_frozen,
)
from vae_search.spec.parameters import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    When,
    condition_text,
    place_of,
)

MAX_PARAMETERS = 64
EDGE_SHARE = 0.02  # of a range, on its own scale: what lies so near an end counts as at it


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

    def with_fixed(self, params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
        """The params, and the fixed values that apply with them: what some of them may depend on."""
        values = dict(params)
        for parameter in self.parameters:
            if isinstance(parameter, FixedParameter) and _holds(parameter.when, values):
                values.setdefault(parameter.name, parameter.value)
        return values

    def active(self, params: Mapping[str, ParamValue]) -> tuple[Parameter, ...]:
        """The entries that apply to these parameters."""
        return tuple(parameter for parameter in self.parameters if _holds(parameter.when, params))

    def largest(self, name: str, *, default: int) -> int:
        """The largest whole number that the parameter `name` can become; `default` if the space leaves it out."""
        return max((largest_of(entry) for entry in self.parameters if entry.name == name), default=default)

    def problems(self, params: Mapping[str, ParamValue], *, partial: bool = False) -> list[str]:
        """Reasons why `params` is not a point of this space, one `name: sentence` each; empty if it is one.

        With `partial`, parameters may be missing (a sampler fills them in), and a value is accepted if it
        fits any entry that what is given does not rule out.
        """
        return [f"{name}: {sentence}" for name, sentence in point_problems(self, params, partial=partial)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeEdge:
    """A value that lies at an end of its searched range: better ones may lie beyond."""

    name: str
    value: int | float
    end: Literal["lower", "upper"]
    limit: int | float


def range_edges(space: SearchSpace, params: Mapping[str, ParamValue]) -> list[RangeEdge]:
    """The searched numbers of `params` that lie at an end of their range: within `EDGE_SHARE`, or at a grid's end.

    Choices have no order, and an end that is the parameter's hard limit cannot be moved.
    """
    found = []
    for entry in space.active(params):
        value = params.get(entry.name)
        if isinstance(entry, FloatParameter | IntParameter) and isinstance(value, int | float):
            found += _edges(entry, value)
    return found


def _edges(entry: FloatParameter | IntParameter, value: int | float) -> list[RangeEdge]:
    if entry.low == entry.high:
        return []
    low, at, high = (math.log(of) if entry.log else of for of in (entry.low, value, entry.high))
    share, rule = (at - low) / (high - low), rule_of(entry.name)
    if share <= EDGE_SHARE and entry.low > rule.low:
        return [RangeEdge(name=entry.name, value=value, end="lower", limit=entry.low)]
    if share >= 1 - EDGE_SHARE and entry.high < rule.high:
        return [RangeEdge(name=entry.name, value=value, end="upper", limit=entry.high)]
    return []


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
            conditions = " or ".join(condition_text(entry.when) for entry in entries)
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


def _not_declared(name: str, names: Collection[str]) -> str:
    if name in RULES:
        return f"is not part of this search space, so it is always {shown(getattr(Config(), name))}."
    return f"no parameter is called {shown(name)}. {did_you_mean(name, names)}"


def _space_problems(parameters: tuple[Parameter, ...]) -> Problems:
    if not 1 <= len(parameters) <= MAX_PARAMETERS:
        return [((), f"must have 1..{MAX_PARAMETERS} parameters, but got {len(parameters)}.")]
    found: Problems = []
    for position, entry in enumerate(parameters):
        for parent, allowed in entry.when:
            parents = [other for other in parameters if other.name == parent]
            never = [value for value in allowed if not any(can_be(other, value) for other in parents)]
            if never:
                reason = f"{parent} can never be {shown(never[0])}"
                if not parents:
                    reason = f"{parent} is not in the search space, so it is always {shown(getattr(Config(), parent))}"
                found.append(((position, "when", parent), f"{reason}. Change the condition or {parent}."))
        if problem := _family_problem(entry.name, reached_families(entry, parameters)):
            found.append(((position, "when", "architecture"), problem))
        if entry.name == "prior_components" and (problem := _components_problem(entry, parameters)):
            found.append(((position, "when", "prior"), problem))
        for other in parameters[:position]:
            if other.name == entry.name and not _exclude(other.when, entry.when):
                pair = f"`{other.key}` and `{entry.key}`"
                found.append(
                    ((position,), f"{pair} can apply at once. Give them a `when` on one parameter, no value twice.")
                )
    return found or _cycle_problems(parameters)


def largest_of(entry: Parameter) -> int:
    """The largest value of a parameter of whole numbers."""
    match entry:
        case FixedParameter():
            return int(entry.value)
        case CategoricalParameter():
            return max(int(choice) for choice in entry.choices)
        case _:
            return int(entry.high)


def reached_families(entry: Parameter, parameters: Sequence[Parameter]) -> Sequence[ParamValue]:
    """The families of a space in which one of its parameters applies."""
    return dict(entry.when).get("architecture") or families_in(parameters)


def _components_problem(entry: Parameter, parameters: Sequence[Parameter]) -> str | None:
    """Reason why the number of a prior's components may not apply where it does, or None: the standard one has none."""
    priors = [other for other in parameters if other.name == "prior"]
    learned = [name for name in LEARNED_PRIORS if any(can_be(other, name) for other in priors)]
    conditions = dict(entry.when).get("prior")
    if conditions is not None:
        return "the standard prior has none. Leave it out of the condition." if Config().prior in conditions else None
    if not learned:
        return "the standard prior has none. Leave it out, or add `prior: mixture` to the search space."
    if all(other.when for other in priors) or any(can_be(other, Config().prior) for other in priors):
        return f"the standard prior has none. Let it apply only `when: {{prior: [{', '.join(learned)}]}}`."
    return None


def _family_problem(name: str, reached: Sequence[ParamValue]) -> str | None:
    """Reason why a parameter may not apply to all of these families, or None. A sampler would search without effect.

    What a family from elsewhere has is asked when a spec is submitted.
    """
    families = [*families_with(name), *(str(family) for family in reached if is_own(family))]
    strangers = [family for family in reached if family not in families]
    if not strangers:
        return None
    if not families:
        return f"no parameter is called {shown(name)}. {did_you_mean(name, RULES)}"
    return f"{strangers[0]} has no {name}. Let it apply only `when: {{architecture: {'|'.join(families)}}}`."


def families_in(parameters: Sequence[Parameter]) -> list[str]:
    """The values that `architecture` can have."""
    entries = [entry for entry in parameters if entry.name == "architecture"]
    found = [name for name in ARCHITECTURES if any(can_be(entry, name) for entry in entries)]
    for entry in entries:
        match entry:
            case FixedParameter(value=value):
                found += [str(value)] if is_own(value) else []
            case CategoricalParameter(choices=choices):
                found += [str(choice) for choice in choices if is_own(choice)]
    return found if entries else [Config().architecture]


def can_be(entry: Parameter, value: ParamValue) -> bool:
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
    names = sorted(parents, key=place_of)
    order: list[str] = []
    while len(order) < len(parents):
        order.append(next(name for name in names if name not in order and {*parents[name]} <= {*order}))
    return tuple(sorted(parameters, key=lambda parameter: order.index(parameter.name)))
