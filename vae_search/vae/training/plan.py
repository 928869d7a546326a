"""Training plan: the settings that a sweep fixes for all its trials."""

from dataclasses import dataclass
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

    @classmethod
    def of(cls, spec: SweepSpec) -> "TrainingPlan":
        return cls(
            epochs=spec.budget.epochs,
            lr_schedule=spec.lr_schedule,
            ema_decay=spec.ema_decay,
            log_variance_clamp=spec.log_variance_clamp,
            likelihood=spec.likelihood,
        )
