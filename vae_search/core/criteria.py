"""Criteria of Pareto sweeps: names, units and the words for them. Less is better, but of some metrics."""

from collections.abc import Iterable
from dataclasses import dataclass

CRITERIA = ("neg_elbo", "instability", "train_flops")
METRIC = "metric_"
"""before the name of a metric of the spec, which may be a criterion as well"""
RANKED_BY = ("objective", *CRITERIA)
"""columns that trials of every sweep may be ranked by; a sweep's metrics are others"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Criteria of a Pareto sweep, and which end of each is better."""

    names: tuple[str, ...]
    """columns of rows"""
    prefer: str = "neg_elbo"
    """the one that orders the front"""
    maximised: frozenset[str] = frozenset()
    """those of which more is better; rows keep their values as they were measured"""

    def least_first(self, name: str, value: float) -> float:
        """A value, with its sign turned where more is better: of what comes out less is better in any criterion."""
        return -value if name in self.maximised else value

    def minimised(self, values: Iterable[float | None]) -> tuple[float | None, ...]:
        """Values in the order of `names`, each so that less is better; None stays."""
        pairs = zip(self.names, values, strict=True)
        return tuple(None if value is None else self.least_first(name, value) for name, value in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionWords:
    """Words for a criterion, as people read it."""

    value: str
    """format of a value with its unit"""
    named_value: str
    """the same among values of other criteria"""
    end: str
    """name of the trial with the best value"""
    leads: str
    """what is said of that trial"""
    axis: str
    """title of an axis"""


WORDS: dict[str, CriterionWords] = {
    "neg_elbo": CriterionWords(
        value="{:.2f} nats",
        named_value="neg_elbo {:.2f} nats",
        end="lowest neg_elbo",
        leads="has the best bound",
        axis="neg_elbo, nats per image",
    ),
    "instability": CriterionWords(
        value="{:.3f} nats",
        named_value="instability {:.3f} nats",
        end="most stable",
        leads="is the most stable",
        axis="instability, nats",
    ),
    "train_flops": CriterionWords(
        value="{:.3g} FLOPs",
        named_value="{:.3g} FLOPs",
        end="cheapest",
        leads="is the cheapest",
        axis="training cost, FLOPs",
    ),
}


def words_of(criterion: str, *, more_is_better: bool = False) -> CriterionWords:
    """The words for a criterion; of a metric they are its name."""
    best = "highest" if more_is_better else "lowest"
    return WORDS.get(criterion) or CriterionWords(
        value="{:.4g}",
        named_value=f"{criterion} {{:.4g}}",
        end=f"{best} {criterion}",
        leads=f"has the {best} {criterion}",
        axis=f"{criterion}, more is better" if more_is_better else criterion,
    )
