"""Criteria of Pareto sweeps: names, units and the words for them. Of each, less is better."""

from dataclasses import dataclass

CRITERIA = ("neg_elbo", "instability", "train_flops")
METRIC = "metric_"
"""before the name of a metric of the spec, which may be a criterion as well"""
RANKED_BY = ("objective", *CRITERIA)
"""columns that trials of every sweep may be ranked by; a sweep's metrics are others"""


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


def words_of(criterion: str) -> CriterionWords:
    """The words for a criterion; of a metric they are its name."""
    return WORDS.get(criterion) or CriterionWords(
        value="{:.4g}",
        named_value=f"{criterion} {{:.4g}}",
        end=f"lowest {criterion}",
        leads=f"has the lowest {criterion}",
        axis=criterion,
    )
