"""Recorded stop of a search that had nothing left to gain, so that a resume does not decide it again.

More rows come after it, of trials that were in flight, and a rule that looked at these might decide otherwise.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_sealed_json, to_sealed_json
from vae_search.store.paths import SweepPaths

if TYPE_CHECKING:
    from vae_search.spec.parts.gain_stop import GainStop


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStop:
    """Decision that the rest of a search would gain too little."""

    gain_nats: float
    """of the rule that decided"""
    confidence: float
    """likewise"""
    trials: int
    """budget of trials that was decided on; a larger one is decided on anew"""
    tried: int
    """trials that had ended or waited at a rung"""
    chance: float
    """that the rest would have gained more than `gain_nats`"""

    def holds_for(self, rule: "GainStop | None", *, trials: int) -> bool:
        """True if the decision is one by this rule, on no smaller budget."""
        return rule is not None and (self.gain_nats, self.confidence, trials <= self.trials) == (
            rule.gain_nats,
            rule.confidence,
            True,
        )

    def __str__(self) -> str:
        return (
            f"stopped after {self.tried} of {self.trials} trials: the chance that the others gain more than "
            f"{self.gain_nats:g} nats was {self.chance:.1%}, and budget.stop asks for at most {1 - self.confidence:.1%}"
        )


def read_stop(store: Store, sweep: str, *, incarnation: str | None) -> SearchStop | None:
    """Read the decision; None if there is none, or its file is damaged: then it is made again from the rows."""
    path = SweepPaths(sweep).search_stop(incarnation)
    try:
        return SearchStop(**from_sealed_json(store.read(path), where=path))  # type: ignore[arg-type]
    except (NotFound, CorruptStore, TypeError):
        return None


def write_stop(store: Store, sweep: str, stop: SearchStop, *, incarnation: str | None) -> None:
    """Make a decision durable, in place of one by another rule. The caller has just made sure of its lease."""
    store.replace(SweepPaths(sweep).search_stop(incarnation), to_sealed_json(asdict(stop)))
