"""Who advances: pure functions of recorded measurements.

Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2).
A Pareto sweep that minimises FLOPs ranks its trials by the front that they are in, as Schmucker et al. 2021 do
("Multi-objective Asynchronous Successive Halving").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_search.spec import SweepSpec
from vae_search.spec_parts import Pruning
from vae_search.store.pareto import places


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


class Rungs:
    """What has been recorded at the rungs of one sweep: the held-out value and, where it counts, the projected cost."""

    def __init__(self, spec: SweepSpec) -> None:
        self.epochs = rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs)
        self._reduction_factor = spec.pruning.reduction_factor if spec.pruning else 1
        self._with_flops = "train_flops" in (spec.objective.pareto or ())
        self._budget_epochs = spec.budget.epochs
        self._points: dict[int, dict[int, tuple[float, ...]]] = {rung: {} for rung in self.epochs}

    def note(self, epoch: int, trial: int, neg_elbo: float, *, epoch_flops: float | None) -> None:
        """A trial's value after an epoch; noting it again changes nothing, and so does one that is no rung.

        Args:
            epoch_flops: what an epoch of the trial costs; None if it is not known: the trial is then not compared.
        """
        if epoch not in self._points:
            return
        if not self._with_flops:
            self._points[epoch][trial] = (neg_elbo,)
        elif epoch_flops is not None:
            # Rounded: a quotient's last bit depends on the epoch, and equal costs must be equal.
            self._points[epoch][trial] = (neg_elbo, float(f"{epoch_flops * self._budget_epochs:.12g}"))

    def decide(self, epoch: int, trial: int) -> RungDecision:
        """Does a trial advance that stands at a rung, given all that is recorded there so far?"""
        points = self._points[epoch]
        ranks = dict(zip(points, places([*points.values()]) if self._with_flops else _first(points), strict=True))
        return decide(ranks[trial], [*ranks.values()], reduction_factor=self._reduction_factor)


def _first(points: Mapping[int, tuple[float, ...]]) -> list[float]:
    return [point[0] for point in points.values()]
