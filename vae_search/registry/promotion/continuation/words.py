"""Words of a version's card on the run that went on."""

from collections.abc import Mapping
from typing import Any

from vae_search.registry.promotion.evidence import Candidate


def continuation_facts(candidate: Candidate) -> dict[str, Any] | None:
    """Facts of the run that went on, for the card; None if none did."""
    continued, origin = candidate.continued, candidate.continued_from
    if continued is None or origin is None:
        return None
    row = continued.row
    return {
        "seed": continued.origin,
        "from_epoch": row.continues_epoch,
        "epochs": row.epochs,
        "seed_epochs": origin.epochs,
        "threads": row.threads,
        "neg_elbo_select": row.neg_elbo,
        "seed_neg_elbo_select": origin.neg_elbo,
        "served": not continued.refusal,
        "refusal": continued.refusal,
    }


def weights_words(card: Mapping[str, Any]) -> str:
    """The run whose weights a version has, in words: `those of seed 2`."""
    went_on = card.get("continuation")
    if went_on is None or not went_on["served"]:
        return f"those of seed {card['provenance']['artifact_seed']}"
    return (
        f"those of seed {went_on['seed']}, which went on from epoch {went_on['from_epoch']} to {went_on['epochs']} "
        f"with {went_on['threads']} threads (the seeds that testify were trained for {went_on['seed_epochs']})"
    )


def continuation_lines(went_on: Mapping[str, Any] | None) -> list[str]:
    """The reason why the weights of a run that went on are not served; nothing if they are, or none did."""
    if went_on is None or went_on["served"]:
        return []
    return [f"Seed {went_on['seed']} went on, but its weights then are not served: {went_on['refusal']}.", ""]
