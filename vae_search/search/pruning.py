"""Asynchronous successive halving: decide which trials advance past a rung. Pure functions of recorded measurements.

The rule is that of (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2).
In a Pareto sweep that minimises FLOPs a trial is compared with those of similar cost. What it will cost is known before
it is trained, so that only its bound needs to be found out: a front consists of the best at each price.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vae_search.core.trial_state import State
from vae_search.spec.sections import Pruning
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.rows import EpochRow, TrialRow

SIMILAR = 2.0  # the greatest ratio of two costs that are alike


@dataclass(frozen=True, slots=True, kw_only=True)
class RungDecision:
    """The decision on one trial at a rung, and its reason."""

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
    """Decide on a trial with `value` (lower is better), given all values recorded at its rung so far.

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


class SuccessiveHalving:
    """The record of one sweep's rungs: held-out values and what trials will cost."""

    def __init__(self, spec: SweepSpec) -> None:
        self.epochs = rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs)
        self._reduction_factor = spec.pruning.reduction_factor if spec.pruning else 1
        self._with_flops = "train_flops" in (spec.objective.pareto or ())
        self._values: dict[int, dict[int, float]] = {rung: {} for rung in self.epochs}
        self._costs: dict[int, dict[int, float]] = {rung: {} for rung in self.epochs}

    def note(self, epoch: int, trial: int, neg_bound: float, *, epoch_flops: float | None) -> None:
        """A trial's value after an epoch; noting it again changes nothing, and so does one that is no rung.

        Args:
            epoch_flops: what an epoch of the trial costs; None if it is not known: where cost counts, the trial is then
                not compared.
        """
        if epoch not in self._values or (self._with_flops and not epoch_flops):
            return
        self._values[epoch][trial] = neg_bound
        if epoch_flops:
            # Rounded: a quotient's last bit depends on the epoch, and equal costs must be equal.
            self._costs[epoch][trial] = float(f"{epoch_flops:.12g}")

    def replay(self, row: TrialRow, curve: Iterable[EpochRow]) -> None:
        """Note the values of a trial that has a row.

        Of one that patience has completed, the last value counts at the rungs that it does not reach, too: whoever
        comes there has to be better than a trial that had nothing more to learn.
        """
        flops = row.train_flops / row.epochs if row.train_flops and row.epochs else None
        known = [(epoch.epoch, epoch.neg_bound) for epoch in curve if epoch.neg_bound is not None]
        if known and row.state is State.COMPLETE:
            known += [(rung, known[-1][1]) for rung in self.epochs if rung > row.epochs]
        for epoch, neg_bound in known:
            self.note(epoch, row.trial, neg_bound, epoch_flops=flops)

    def decide(self, epoch: int, trial: int) -> RungDecision:
        """Decide on a trial that stands at a rung, given all that is recorded there so far."""
        values = self._values[epoch]
        if not self._with_flops:
            return decide(values[trial], [*values.values()], reduction_factor=self._reduction_factor)
        costs = self._costs[epoch]
        similar = [other for other, cost in costs.items() if costs[trial] / SIMILAR <= cost <= SIMILAR * costs[trial]]
        found = decide(values[trial], [values[other] for other in similar], reduction_factor=self._reduction_factor)
        return RungDecision(advance=found.advance, reason=f"{found.reason} of similar cost")
