"""Criteria of Pareto sweeps: names, units and the words for them. Of each, less is better."""

from dataclasses import dataclass
from typing import Literal, get_args

Criterion = Literal["neg_elbo", "instability", "train_flops"]
RankedBy = Literal["objective", Criterion]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionWords:
    """Words for a criterion, as people read it."""

    value: str
    """format of a value with its unit"""
    named_value: str
    """the same among values of other criteria"""
    end: str
    """name of the trial with the least value"""
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
