"""Rules of a promotion, as a sweep's spec gives them."""

from vae_search.core.criteria import METRIC
from vae_search.errors import InvalidSpec
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.spec.sweep_spec import SweepSpec


def policy_of(spec: SweepSpec) -> PromotionPolicy:
    """Gates and gain that a sweep's finalists must meet.

    Raises:
        InvalidSpec: `promote.limits` names a gate or metric that does not exist.
    """
    asks = spec.promote
    if asks is None:
        return PromotionPolicy()
    better = {metric.column: metric.better for metric in spec.metrics}
    if unknown := [name for name in asks.limits if name.startswith(METRIC) and name not in better]:
        raise InvalidSpec(
            f"promote.limits: {unknown[0]} is no metric of this spec. Add it to metrics, or leave it out."
        )
    return PromotionPolicy(
        min_gain=asks.min_gain,
        limits=asks.limits,
        needs_approval=asks.approval == "required",
        fit_prior=asks.fit_prior,
        more_is_better=frozenset(name for name in asks.limits if better.get(name) == "higher"),
    )
