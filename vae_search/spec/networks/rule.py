"""Rule of a parameter: its kind, its hard limits and its default, wherever it stands."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from vae_search.core.text import did_you_mean, shown

ParamValue = int | float | str  # never bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The kind and the hard limits of one parameter; for a name, what it may be.

    Args:
        above_low: `low` itself is excluded.
        default: of a parameter that a family declares; those of every network have theirs in `Config`.
    """

    kind: type[int] | type[float] | type[str]
    low: float = 0
    high: float = 0
    above_low: bool = False
    choices: tuple[str, ...] = ()
    default: ParamValue | None = None
    meaning: str

    @property
    def kind_name(self) -> str:
        """The kind in words, with its article."""
        return {int: "a whole number", float: "a number", str: "a name"}[self.kind]

    def problem(self, value: object) -> str | None:
        """Reason why `value` cannot be a value of this parameter, or None."""
        if self.kind is str:
            if not isinstance(value, str):
                return f"must be one of {', '.join(self.choices)}, but got {shown(value)}."
            return None if self._names(value) else f"{shown(value)} is unknown. {did_you_mean(value, self.choices)}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (self.kind is int and isinstance(value, float))
        ):
            return f"must be {self.kind_name}, but got {shown(value)}."
        if not self.low <= value <= self.high or (self.above_low and value == self.low):  # NaN fails, too
            limits = f"{'>' if self.above_low else '>='} {self.low:g} and <= {self.high:g}"
            return f"must be {limits}, but got {shown(value)}."
        return None

    def kind_problem(self, name: str, kind: type) -> str | None:
        """Reason why a range of numbers of `kind` cannot be this parameter's, or None."""
        if self.kind is kind:
            return None
        right = {int: "type: int", float: "type: float", str: "type: categorical"}[self.kind]
        return f"{name} is {self.kind_name}, so it needs {right}, but got type: {kind.__name__}."

    def normal(self, value: ParamValue) -> ParamValue:
        """`value` in the parameter's own type: 1 becomes 1.0 where real numbers are meant."""
        return float(value) if self.kind is float and not isinstance(value, str) else value

    def _names(self, value: str) -> bool:
        """True if the value is one of the names."""
        return value in self.choices


class OpenRule(Rule):
    """Rule of a parameter that a family or network from elsewhere has: any number, any name.

    What it may be there is asked when a spec is submitted, so that stores can be read where nothing of it is installed.
    """

    __slots__ = ()

    def problem(self, value: object) -> str | None:
        """Reason why `value` cannot be a parameter's value at all, or None."""
        if isinstance(value, str) and value:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"must be a number or a name, but got {shown(value)}."
        return None

    def kind_problem(self, name: str, kind: type) -> str | None:
        """None: the range itself says what it is of."""
        return None

    def normal(self, value: ParamValue) -> ParamValue:
        """The value as it is."""
        return value


OPEN_RULE = OpenRule(kind=float, low=-math.inf, high=math.inf, meaning="a parameter of a family or network of your own")


def same_kind(values: Collection[ParamValue]) -> bool:
    """True if all values are names, or all whole numbers, or all numbers."""
    kinds = {type(value) for value in values}
    return len(kinds) <= 1 or kinds == {int, float}
