"""Configs that the first trials of a search have: those that its spec lists, then those taken from other sweeps.

What a person lists is tried, in its order. A config from other data is a guess: one good guess brings nearly all that
several bring, and five bad ones, tried one after another, make a sampler twice as slow (`benchmarks/warm_start.py`). So
there are trials of the sampler between them, and the next one is tried only as long as all before it are in the better
half of the trials that came as far. Which trial has which config follows from its number and from recorded values, so
that a driver that goes on decides as the one before would have.
"""

from collections.abc import Callable, Mapping

from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.running_trial import SweepContext
from vae_search.spec.hyperparameters import ParamValue

SPACING = 3  # trials from one taken config to the next


class FirstConfigs:
    """The configs of one search that are not the sampler's, nor enqueued while it runs.

    Args:
        rungs: of the sweep; taken configs are compared at the first one.
        completed: objective of each completed trial, for a sweep without rungs.
    """

    def __init__(
        self, context: SweepContext, rungs: SuccessiveHalving, *, completed: Callable[[], Mapping[int, float]]
    ) -> None:
        self._listed = context.spec.enqueue
        self._taken = () if context.warm_started is None else context.warm_started.configs
        self._rungs = rungs
        self._completed = completed

    @property
    def listed(self) -> int:
        """Number of trials whose configs the spec lists."""
        return len(self._listed)

    def of(self, trial: int) -> Mapping[str, ParamValue] | None:
        """The config of a trial that begins; None if the sampler's."""
        if trial < len(self._listed):
            return self._listed[trial]
        place, between = divmod(trial - len(self._listed), SPACING)
        if between or place >= len(self._taken):
            return None
        before = range(len(self._listed), trial, SPACING)
        return self._taken[place].params if all(map(self._is_good, before)) else None

    def _is_good(self, trial: int) -> bool:
        """True if a trial is in the better half of those that came as far; False as long as it has not."""
        values = self._rungs.first_values if self._rungs.epochs else self._completed()
        value = values.get(trial)
        return value is not None and 1 + sum(other < value for other in values.values()) <= len(values) // 2
