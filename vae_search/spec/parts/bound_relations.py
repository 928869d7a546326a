"""Relations of the bound that the last epochs train with the rest of a spec."""

from collections.abc import Mapping
from typing import Any

from vae_search.core.validation import Problems
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, Parameter
from vae_search.spec.search_space import SearchSpace, can_be
from vae_search.spec.sections import Budget, Objective, Promote

SAMPLES, SHARE = "bound_samples", "iwae_from"
_LOOSER = "which gets worse where the bound of several draws gets better"


def bound_problems(parts: Mapping[str, Any]) -> Problems:
    """Problems of training a bound of several draws; a missing part is not judged."""
    space = parts.get("search_space")
    if not isinstance(space, SearchSpace):
        return []
    found: Problems = []
    for entry in space.parameters:
        if entry.name == SHARE and (advice := _without_effect(entry, space)):
            text = f"with {SAMPLES}: 1 the ELBO is trained throughout, so it would be without effect. {advice}"
            found.append((("search_space", SHARE), text))
    if space.largest(SAMPLES, default=1) == 1:
        return found
    match parts:
        case {"objective": Objective(pareto=tuple())}:
            text = f"a Pareto sweep compares by neg_elbo, {_LOOSER}. Leave one of them out."
            found.append((("search_space", SAMPLES), text))
        case {"objective": Objective(bound="elbo")}:
            text = f"trials are ranked by the ELBO, {_LOOSER}. Write objective: {{bound: iwae}}."
            found.append((("search_space", SAMPLES), text))
        case {"objective": Objective(bound=None)} if not isinstance(parts.get("promote"), Promote):
            text = f"without promote trials are ranked by the ELBO, {_LOOSER}. Write objective: {{bound: iwae}}."
            found.append((("search_space", SAMPLES), text))
    match parts:
        case {"budget": Budget(patience=int())}:
            text = (
                f"would end a training before its last epochs, which train the bound of {SAMPLES} draws. Leave one out."
            )
            found.append((("budget", "patience"), text))
    return found


def _without_effect(share: Parameter, space: SearchSpace) -> str | None:
    """Advice if the share may apply beside one draw, or None."""
    allowed = dict(share.when).get(SAMPLES)
    if allowed is not None:
        return "Take 1 out of its condition." if 1 in allowed else None
    entries = [entry for entry in space.parameters if entry.name == SAMPLES]
    several = [value for entry in entries for value in _several(entry)]
    if not several:
        return f"Set {SAMPLES} to 2 or more as well."
    if not any(entry.when or can_be(entry, 1) for entry in entries):
        return None
    return f"Let it apply only `when: {{{SAMPLES}: [{', '.join(map(str, several))}]}}`."


def _several(entry: Parameter) -> list[int]:
    """The values of a parameter of whole numbers that are above 1."""
    match entry:
        case CategoricalParameter():
            values = [int(choice) for choice in entry.choices]
        case FixedParameter():
            values = [int(entry.value)]
        case _:
            values = [*range(int(entry.low), int(entry.high) + 1, int(entry.step or 1))]
    return [value for value in values if value > 1]
