"""Training plan: the settings that a sweep fixes for all its trials."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Training settings that a sweep fixes for all its trials."""

    epochs: int
    lr_schedule: Literal["constant", "cosine"]
    ema_decay: float
    log_variance_clamp: tuple[float, float]
    likelihood: str
    iwae_epochs: frozenset[int] = frozenset()
    """epochs after which the importance-weighted bound is taken, since the sweep ranks by it"""

    @classmethod
    def of(cls, spec: SweepSpec, *, rungs: Sequence[int] = ()) -> "TrainingPlan":
        """The plan of a sweep's trials.

        Args:
            rungs: epochs at which they are compared.
        """
        return cls(
            epochs=spec.budget.epochs,
            lr_schedule=spec.lr_schedule,
            ema_decay=spec.ema_decay,
            log_variance_clamp=spec.log_variance_clamp,
            likelihood=spec.likelihood,
            iwae_epochs=frozenset([*rungs, spec.budget.epochs]) if spec.bound == "iwae" else frozenset(),
        )

    def confirming(self, epochs: int) -> "TrainingPlan":
        """The plan of the sweep's confirm runs, which are compared at their end alone."""
        return replace(self, epochs=epochs, iwae_epochs=frozenset([epochs] if self.iwae_epochs else []))
