"""Stop of a search that has nothing left to gain: the part of a spec that says what counts as nothing."""

from pydantic import Field

from vae_search.spec.parts.part import Part


class GainStop(Part):
    """Stop of a search once the rest of its budget is not likely to gain much."""

    gain_nats: float = Field(default=0.05, gt=0, le=1000, description="Gain of the objective that is worth going on.")
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1, description="Probability that the rest of the budget gains no more, at least."
    )
