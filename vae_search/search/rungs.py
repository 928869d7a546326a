"""Who advances: pure functions of recorded measurements.

Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vae_search.spec_parts import Pruning


@dataclass(frozen=True, slots=True, kw_only=True)
class RungDecision:
    """Whether a trial advances past a rung, and why."""

    advance: bool
    reason: str


def rung_epochs(pruning: Pruning | None, *, budget_epochs: int) -> tuple[int, ...]:
    """The epochs at which trials are compared: min_epochs · reduction_factor^k, below the last epoch."""
    if pruning is None:
        return ()
    rungs = []
    epoch = pruning.min_epochs
    while epoch < budget_epochs:
        rungs.append(epoch)
        epoch *= pruning.reduction_factor
    return tuple(rungs)


def decide(value: float, recorded: Sequence[float], *, reduction_factor: int) -> RungDecision:
    """Does a trial with `value` (lower is better) advance, given all values recorded at its rung so far?

    With n recorded values, this one included: advance if n < reduction_factor, or if its rank is at most
    max(1, ⌊n / reduction_factor⌋). Equal values share the better rank.

    Args:
        recorded: every value at this rung, `value` included, in any order.
    """
    count = len(recorded)
    if count < reduction_factor:
        return RungDecision(advance=True, reason=f"only {count} of {reduction_factor} values recorded at this rung")
    rank = 1 + sum(other < value for other in recorded)
    places = max(1, count // reduction_factor)
    verb = "within" if rank <= places else "behind"
    return RungDecision(advance=rank <= places, reason=f"rank {rank} of {count}, {verb} the best {places}")
