"""Who advances: pure functions of recorded measurements.

Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2).
A Pareto sweep that minimises FLOPs ranks its trials by the front that they are in, as Schmucker et al. 2021 do
("Multi-objective Asynchronous Successive Halving").
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vae_search.spec import SweepSpec
from vae_search.spec_parts import Pruning
from vae_search.store.pareto import is_collapsed, places


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
        self._collapsed: dict[int, set[int]] = {rung: set() for rung in self.epochs}

    def note(
        self, epoch: int, trial: int, neg_elbo: float, *, rate: float | None = None, epoch_flops: float | None
    ) -> None:
        """A trial's value after an epoch; noting it again changes nothing, and so does one that is no rung.

        Args:
            rate: its KL, nats per image. Where cost counts, collapsed trials come after all others: by their cost they
                would be on the front.
            epoch_flops: what an epoch of the trial costs; None if it is not known: the trial is then not compared.
        """
        if epoch not in self._points:
            return
        if not self._with_flops:
            self._points[epoch][trial] = (neg_elbo,)
        elif epoch_flops is not None:
            # Rounded: a quotient's last bit depends on the epoch, and equal costs must be equal.
            self._points[epoch][trial] = (neg_elbo, float(f"{epoch_flops * self._budget_epochs:.12g}"))
            if is_collapsed(rate):
                self._collapsed[epoch].add(trial)

    def decide(self, epoch: int, trial: int) -> RungDecision:
        """Does a trial advance that stands at a rung, given all that is recorded there so far?"""
        ranks = self._ranks(epoch)
        return decide(ranks[trial], [*ranks.values()], reduction_factor=self._reduction_factor)

    def _ranks(self, epoch: int) -> dict[int, float]:
        """What the trials at a rung are ordered by, least first."""
        points = self._points[epoch]
        if not self._with_flops:
            return {trial: neg_elbo for trial, (neg_elbo,) in points.items()}
        collapsed = self._collapsed[epoch]
        learners = [trial for trial in points if trial not in collapsed]
        others = [trial for trial in points if trial in collapsed]
        first, last = (places([points[trial] for trial in group]) for group in (learners, others))
        return dict(zip([*learners, *others], [*first, *(len(learners) + place for place in last)], strict=True))
