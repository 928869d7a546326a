"""Fork of a sweep: its spec under another name, and the trials that it may take over from the one that it came from.

A trial's value depends on its task, its config and its schedule. So a fork may search another space, with another
budget of trials; what the value of a config depends on stays.
"""

from collections.abc import Mapping, Sequence

from vae_search.core.seeds import derived_seed
from vae_search.spec.hyperparameters import RULES, Config, ParamValue
from vae_search.spec.parameters import Parameter
from vae_search.spec.search_space import SearchSpace, point_problems
from vae_search.spec.sections import longest_warmup_epochs, measures_instability
from vae_search.spec.sweep_spec import SweepSpec, identity_changes, overridden

ONLY_CHOOSES = ("search_space", "enqueue", "warm_start", "seed", "sampler", "pruning", "resources")
"""keys of a spec's identity that decide which configs are tried, and not how good one is"""


def forked_spec(spec: SweepSpec, name: str, overrides: Sequence[str] = ()) -> SweepSpec:
    """The spec of a fork, without configs that were tried first and a warm start, and with a seed of its own.

    With the old seed a sampler that knows little would draw the first trials of the old sweep again.

    Args:
        overrides: `key.key=value`.

    Raises:
        InvalidSpec: The name, an override or the result is wrong; one line for each mistake.
    """
    seed = derived_seed(spec.seed, 0, f"fork {name}")
    return overridden(spec, [f"name={name}", "enqueue=[]", "warm_start=null", f"seed={seed}", *overrides])


def measure_changes(old: SweepSpec, new: SweepSpec) -> list[str]:
    """Differences between two specs by which the same config has another value, one `budget.epochs: 9 → 12` each."""
    found = identity_changes(old, new, besides=ONLY_CHOOSES)
    weight = new.objective.stability_weight if new.objective.pareto is None else 0
    if weight > 0 and _has_instability(old) != _has_instability(new):
        found.append("search_space.kl_warmup_epochs: with the new one, other trials have an instability")
    return found


def point_of(space: SearchSpace, params: Mapping[str, ParamValue]) -> dict[str, ParamValue] | str:
    """The config of `params` as a point of another space; or the name of a parameter for which it has no place.

    A parameter that one of them leaves out has its default there.
    """
    config = Config.from_params(params)
    unknown: list[str] = []  # of a network from elsewhere, whose own defaults nobody here knows

    def draw(parameter: Parameter) -> ParamValue:
        value = config.value(parameter.name)
        if value is None:
            unknown.append(parameter.name)
        return 0 if value is None else value

    point = space.suggest(draw)
    if unknown:
        return unknown[0]
    same = Config.from_params(point)
    strange = [name for name in [*RULES, *dict(config.own)] if same.value(name) != config.value(name)]
    outside = strange or [name for name, _ in point_problems(space, point)]
    return outside[0] if outside else point


def _has_instability(spec: SweepSpec) -> bool:
    return measures_instability(spec.budget.epochs, longest_warmup_epochs=longest_warmup_epochs(spec.search_space))
