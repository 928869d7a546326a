"""The run that went on from one of a candidate's seeds: its weights may be served, and it testifies for no config."""

from dataclasses import dataclass

from vae_search.core.image_bounds import ImageBounds
from vae_search.store.ledger.confirm_runs import ConfirmRow, continued_seed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Continued:
    """A run that went on.

    Args:
        bounds: of its weights on the judge images; None if it has failed.
        refusal: why its weights are not those to be served; empty if they are.
    """

    row: ConfirmRow
    bounds: ImageBounds | None
    refusal: str = "not judged yet"

    @property
    def served_bounds(self) -> ImageBounds | None:
        """The bounds, if these are the weights to be served."""
        return None if self.refusal else self.bounds

    @property
    def origin(self) -> int:
        """The fresh seed whose run it went on from."""
        return continued_seed(self.row.confirm_seed)
