"""The gate on the images themselves: what no score of a model can tell."""

from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs, GateResult, not_measured


def held_out_images_are_new(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Scores on copies of training images praise memory: their share is judged in the held-out part with most of them.

    Copies are exact, pixel by pixel; images that differ by one grey level are not counted.
    """
    share = facts.held_out_share_in_train
    if share is None:
        return not_measured("duplicates", limit, "copies were not counted")
    return GateResult(
        name="duplicates",
        value=share,
        limit=limit,
        passed=share <= limit,
        explanation=f"{share:.2%} of the held-out images are copies of training images, at most {limit:.2%}",
    )
