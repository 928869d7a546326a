"""Criteria of a Pareto sweep, with the end of each that its metrics call better."""

from typing import TYPE_CHECKING

from vae_search.core.criteria import Criteria

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


def pareto_criteria(spec: "SweepSpec") -> Criteria | None:
    """Criteria of a sweep's front; None of a sweep with one objective."""
    names = spec.objective.pareto
    if names is None:
        return None
    maximised = frozenset(metric.column for metric in spec.metrics if metric.better == "higher")
    return Criteria(names=names, prefer=spec.objective.prefer, maximised=maximised.intersection(names))
