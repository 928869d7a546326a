"""Clipping of a config into another search space."""

from collections.abc import Mapping
from dataclasses import dataclass

from vae_search.spec.hyperparameters import Config, ParamValue
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, FloatParameter, IntParameter, Parameter
from vae_search.spec.search_space import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedConfig:
    """Config in a space: a point of it, or part of one, which a sampler completes.

    Args:
        params: the parameters that have crossed, and fixed ones.
        crossed: searched parameters among them.
        changed: parameters whose value is another than before, or that were left out.
    """

    params: Mapping[str, ParamValue]
    crossed: tuple[str, ...]
    changed: tuple[str, ...]


def clipped(space: SearchSpace, params: Mapping[str, ParamValue]) -> ClippedConfig:
    """Bring a config into a space: numbers to the nearest value of their range, choices as they are or left out.

    A parameter that `params` lacks has the default there, as it had in the training. One under a condition that a
    left-out parameter decides is left out as well.
    """
    config = Config.from_params(params)
    found: dict[str, ParamValue] = {}
    crossed, changed = [], []
    for entry in space.parameters:
        if any(found.get(name) not in allowed for name, allowed in entry.when):
            continue
        before = config.value(entry.name)
        value = None if before is None and not isinstance(entry, FixedParameter) else _nearest(entry, before)
        if value is None:
            changed.append(entry.name)
            continue
        found[entry.name] = value
        if not isinstance(entry, FixedParameter):
            crossed.append(entry.name)
        if value != before:
            changed.append(entry.name)
    return ClippedConfig(params=found, crossed=tuple(crossed), changed=tuple(dict.fromkeys(changed)))


def _nearest(entry: Parameter, value: ParamValue | None) -> ParamValue | None:
    """The value of an entry nearest to one; None if it has none of its kind."""
    match entry:
        case FixedParameter():
            return entry.value
        case CategoricalParameter():
            return _nearest_choice(entry, value)
        case IntParameter() if isinstance(value, int | float):
            step = entry.step or 1
            steps = round((min(max(value, entry.low), entry.high) - entry.low) / step)
            return min(entry.low + steps * step, entry.low + (entry.high - entry.low) // step * step)
        case FloatParameter() if isinstance(value, int | float):
            near = min(max(float(value), entry.low), entry.high)
            if entry.step is None:
                return near
            most = int((entry.high - entry.low) / entry.step + 1e-9)
            return min(entry.low + min(round((near - entry.low) / entry.step), most) * entry.step, entry.high)
        case _:
            return None


def _nearest_choice(entry: CategoricalParameter, value: ParamValue | None) -> ParamValue | None:
    if value in entry.choices:
        return value
    numbers = [choice for choice in entry.choices if isinstance(choice, int | float)]
    if isinstance(value, int | float) and len(numbers) == len(entry.choices):
        return min(numbers, key=lambda choice: (abs(choice - value), choice))
    return None
