"""Asynchronous successive halving: decide which trials advance past a rung. Pure functions of recorded measurements.

The rule is that of (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2), which
promotes: a trial that is not among the best at its rung is paused there, and goes on if it is when others have come.
One that is among them when it comes goes on at once. A trial that diverged below a rung counts there as the worst.

In a Pareto sweep that minimises FLOPs a trial is compared with those of similar cost. What it will cost is known before
it is trained, so that only its bound needs to be found out: a front consists of the best at each price.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from vae_search.core.trial_state import Reason
from vae_search.search.messages import TrialAssignment, TrialReport
from vae_search.search.rungs.rung_bounds import bounds_at_rungs, recorded_bounds
from vae_search.spec.sections import Pruning
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.rows import EpochRow, TrialRow

SIMILAR = 2.0  # the greatest ratio of two costs that are alike


@dataclass(frozen=True, slots=True, kw_only=True)
class RungDecision:
    """The decision on one trial at a rung, and its reason."""

    advance: bool
    reason: str
    hopeless: bool = False
    """whether it will not advance whatever comes"""


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


def decide(
    value: float,
    recorded: Sequence[float],
    *,
    reduction_factor: int,
    trials: float = math.inf,
    least: int = 0,
    least_in_the_end: int = 1,
) -> RungDecision:
    """Decide on a trial with `value` (lower is better), given all values recorded at its rung so far.

    With n recorded values, this one included, it advances if its rank is at most max(least, ⌊n / reduction_factor⌋).
    Equal values share the better rank. A rank never falls, so that one beyond ⌊trials / reduction_factor⌋ is hopeless.

    Args:
        recorded: every value at this rung, `value` included, the least first; infinite for a trial that diverged.
        trials: that can come to the rung at most.
        least: places that there are in any case.
        least_in_the_end: places that there will be in any case, once no other trial comes.
    """
    count = len(recorded)
    rank = 1 + bisect_left(recorded, value)
    places = max(least, count // reduction_factor)
    advance = rank <= places
    verb = "within" if advance else "behind"
    return RungDecision(
        advance=advance,
        reason=f"rank {rank} of {count}, {verb} the best {places}",
        hopeless=rank > max(least_in_the_end, places, trials // reduction_factor),
    )


LEAST_FINISHERS = 3  # as many finalists as there are by default: among fewer there is nothing to choose


class SuccessiveHalving:
    """The record of one sweep's rungs: held-out values and what trials will cost."""

    def __init__(self, spec: SweepSpec) -> None:
        self.epochs = rung_epochs(spec.pruning, budget_epochs=spec.budget.epochs)
        self._reduction_factor = spec.pruning.reduction_factor if spec.pruning else 1
        self.trials = spec.budget.trials
        """that can come to a rung at most"""
        self._bound = spec.bound
        self.least_in_the_end = min(LEAST_FINISHERS, max(1, spec.confirm.finalists))
        """places of each rung once no other trial comes, so that a small sweep has finalists"""
        self._with_flops = "train_flops" in (spec.objective.pareto or ())
        self._values: dict[int, dict[int, float]] = {rung: {} for rung in self.epochs}
        self._sorted: dict[int, list[float]] = {rung: [] for rung in self.epochs}
        self._costs: dict[int, dict[int, float]] = {rung: {} for rung in self.epochs}
        self._advanced: set[tuple[int, int]] = set()  # rung and trial that has a place beyond it

    @property
    def first_values(self) -> Mapping[int, float]:
        """Values at the first rung, by trial; none without rungs."""
        return self._values[self.epochs[0]] if self.epochs else {}

    def note(self, epoch: int, trial: int, neg_bound: float, *, epoch_flops: float | None) -> None:
        """A trial's value after an epoch; noting it again changes nothing.

        Args:
            epoch_flops: what an epoch of the trial costs; None if it is not known: where cost counts, the trial is then
                not compared.
        """
        self._advanced.update((rung, trial) for rung in self.epochs if rung < epoch)
        if epoch not in self._values or (self._with_flops and not epoch_flops):
            return
        if trial in self._values[epoch]:
            self._sorted[epoch].remove(self._values[epoch][trial])
        self._values[epoch][trial] = neg_bound
        insort(self._sorted[epoch], neg_bound)
        if epoch_flops:
            # Rounded: a quotient's last bit depends on the epoch, and equal costs must be equal.
            self._costs[epoch][trial] = float(f"{epoch_flops:.12g}")

    def note_diverged(self, epochs: int, trial: int, *, epoch_flops: float | None) -> None:
        """A trial has diverged after `epochs` epochs: at the next rung it counts as the worst."""
        for rung in [rung for rung in self.epochs if rung > epochs][:1]:
            self.note(rung, trial, math.inf, epoch_flops=epoch_flops)

    def note_report(self, report: TrialReport, assignment: TrialAssignment) -> None:
        """Note what a worker has reported of a trial; of a confirm run there is nothing to note."""
        if assignment.confirms:
            return
        trial = assignment.trial
        flops = report.costs.train_flops / report.epoch if report.costs and report.epoch else None
        for measurement in report.measurements:
            self.note(measurement.epoch, trial, measurement.neg_bound, epoch_flops=flops)
        if report.failure is not None and report.failure.reason is Reason.DIVERGED:
            self.note_diverged(report.epoch, trial, epoch_flops=flops)

    def replay(self, row: TrialRow, curve: Iterable[EpochRow]) -> None:
        """Note the values of a trial that has a row; see `bounds_at_rungs`."""
        flops = row.train_flops / row.epochs if row.train_flops and row.epochs else None
        for epoch, neg_bound in bounds_at_rungs(row, recorded_bounds(curve), self.epochs, bound=self._bound).items():
            self.note(epoch, row.trial, neg_bound, epoch_flops=flops)
        if row.reason is Reason.DIVERGED:
            self.note_diverged(row.epochs, row.trial, epoch_flops=flops)

    def decide(self, epoch: int, trial: int, *, least: int = 0) -> RungDecision:
        """Decide on a trial that stands at a rung, given all that is recorded there so far.

        One that has a place keeps it, whoever comes.

        Args:
            least: places that there are in any case.
        """
        if (epoch, trial) in self._advanced:
            return RungDecision(advance=True, reason="has its place beyond this rung")
        values = self._values[epoch]
        if trial not in values:
            return RungDecision(advance=True, reason="its cost is not known")
        recorded, words = self._sorted[epoch], ""
        if self._with_flops:
            costs, words = self._costs[epoch], " of similar cost"
            similar = [
                other for other, cost in costs.items() if costs[trial] / SIMILAR <= cost <= SIMILAR * costs[trial]
            ]
            recorded = sorted(values[other] for other in similar)
        found = decide(
            values[trial],
            recorded,
            reduction_factor=self._reduction_factor,
            trials=self.trials,
            least=least,
            least_in_the_end=self.least_in_the_end,
        )
        return RungDecision(advance=found.advance, reason=f"{found.reason}{words}", hopeless=found.hopeless)

    def promotable(self, paused: Collection[tuple[int, int]], *, least: int = 0) -> tuple[int, int] | None:
        """The paused trial to go on with: the best at the highest rung that lets any advance; None if none does.

        Args:
            paused: rung and trial of each that waits.
            least: places that each rung has in any case.
        """
        advancing = [
            (-rung, self._values[rung].get(trial, -math.inf), trial)
            for rung, trial in paused
            if self.decide(rung, trial, least=least).advance
        ]
        return (-min(advancing)[0], min(advancing)[2]) if advancing else None

    def promote(self, rung: int, trial: int) -> None:
        """Give a trial a place beyond a rung."""
        self._advanced.add((rung, trial))
