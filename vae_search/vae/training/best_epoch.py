"""The best epoch of a run and its averaged weights: one copy, which training goes on beside."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from vae_search.core.measurements import StoppingRule

PREFIX = "best/"  # of the names of its weights in a state


class BestEpoch:
    """The epoch whose averages are scored, kept and promoted; 0 and the initial weights before the first one.

    Args:
        names: of the weights, in the network's order.
        averages: the graph's moving averages, in that order.
    """

    def __init__(self, rule: StoppingRule, names: Sequence[str], averages: Sequence[tf.Variable]) -> None:
        self._rule = rule
        self._names = names
        self._averages = averages
        self._epoch = 0
        self.number = 0
        self.weights = self._averages_now()

    @property
    def training_is_over(self) -> bool:
        """True if the newest epoch is the last one."""
        return self._epoch > 0 and self._rule.ends_at(self._epoch, best_epoch=self.number)

    def note(self, neg_bounds: Sequence[float]) -> None:
        """An epoch is done, and the averages are its own.

        Args:
            neg_bounds: held-out value after each epoch so far, of the bound that it has trained.
        """
        self._epoch, self.number = len(neg_bounds), self._rule.best_epoch(neg_bounds)
        if self.number == self._epoch:
            self.weights = self._averages_now()

    def state(self) -> dict[str, np.ndarray]:
        """The weights by name; nothing while they are the averages."""
        if self.number == self._epoch:
            return {}
        return {f"{PREFIX}{name}": weight for name, weight in zip(self._names, self.weights, strict=True)}

    def restore(self, state: Mapping[str, np.ndarray], neg_bounds: Sequence[float]) -> None:
        """Continue from `state()`, after `neg_bounds`; the averages are restored already.

        Raises:
            ValueError: Weights are missing.
        """
        self.note(neg_bounds)
        if self.number < self._epoch:
            if missing := [name for name in self._names if f"{PREFIX}{name}" not in state]:
                raise ValueError(f"the state must hold the weights of the best epoch, but lacks {missing[:4]}")
            self.weights = [state[f"{PREFIX}{name}"] for name in self._names]

    def _averages_now(self) -> list[np.ndarray]:
        return [average.numpy() for average in self._averages]
