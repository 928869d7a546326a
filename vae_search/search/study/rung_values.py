"""Values of a sweep's trials by rung, and the highest rung that enough trials have reached to be compared there.

Trials that were cut, that run and that completed have only those rungs in common that all have reached. A model of good
configs is therefore made of one rung's values: the highest with enough of them, as in BOHB (Falkner, Klein and Hutter
2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", section 4).
"""

import math
from collections.abc import Mapping, Sequence

ENOUGH = 8  # values; fewer make no model
BEYOND_GOOD = 2  # there must be some that are not good as well (the + 2 of BOHB's N_min + 2)
MOST_GOOD = 25
END = math.inf  # the last rung: behind the last epoch


def good_trials(count: int) -> int:
    """Size of the set that TPE models as good, of `count` trials: the best tenth, at most 25 (Optuna's default)."""
    return min(math.ceil(0.1 * count), MOST_GOOD)


class RungValues:
    """Record of all values of one sweep. The end is its last rung, and a trial's value there is the objective.

    Args:
        rungs: epochs at which trials are compared before the end, ascending.
    """

    def __init__(self, rungs: Sequence[int] = ()) -> None:
        self._values: dict[float, dict[int, float]] = {rung: {} for rung in (*rungs, END)}
        self._known: set[int] = set()
        """trials that have a value or have ended, those that failed of themselves included"""

    def note(self, trial: int, epoch: int, neg_bound: float) -> None:
        """A trial's held-out bound after an epoch; one that is no rung changes nothing.

        A running trial counts as soon as it has reached a rung: what it will do later is not asked.
        """
        if epoch in self._values:
            self._values[epoch][trial] = neg_bound
            self._known.add(trial)

    def end(self, trial: int, objective: float | None) -> None:
        """A trial has completed, or was cut (None)."""
        self._known.add(trial)
        if objective is not None:
            self._values[END][trial] = objective

    def fail(self, trial: int, *, is_bad: bool) -> None:
        """A trial has failed: what it had reached counts no longer.

        Args:
            is_bad: whether that tells of its config; else it is as if there had been none.
        """
        for values in self._values.values():
            values.pop(trial, None)
        (self._known.add if is_bad else self._known.discard)(trial)

    def has(self, trial: int) -> bool:
        """True once a trial has a value or has ended."""
        return trial in self._known

    @property
    def enough(self) -> int:
        """Values that a model of good configs needs: at least 8, and two more than count as good among all trials."""
        return max(ENOUGH, good_trials(len(self._known)) + BEYOND_GOOD)

    @property
    def half(self) -> float:
        """Half of the trials that have a value: so many have been selected by no rung below."""
        return len(set().union(*self._values.values())) / 2

    def highest_with(self, enough: float) -> tuple[float, Mapping[int, float]]:
        """The highest rung that `enough` trials have reached, and their values there; if there is none, the first."""
        levels = [*self._values.items()]
        return next((level for level in reversed(levels) if len(level[1]) >= enough), levels[0])
