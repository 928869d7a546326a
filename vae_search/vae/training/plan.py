"""Training plan: the settings that a sweep fixes for all its trials."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vae_search.core.measurements import StoppingRule
from vae_search.spec.fields import Precision
from vae_search.spec.hyperparameters import Config
from vae_search.spec.planning.decay import decay_epochs_of
from vae_search.spec.sections import EVALUATIONS_OF_INSTABILITY, longest_warmup_epochs, measures_instability
from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Training settings that a sweep fixes for all its trials."""

    epochs: int
    lr_schedule: Literal["constant", "cosine", "wsd"]
    ema_decay: float
    log_variance_clamp: tuple[float, float]
    likelihood: str
    precision: Precision = "float32"
    patience: int | None = None
    longest_warmup_epochs: int = 0
    """of any config of the sweep"""
    iwae_epochs: frozenset[int] = frozenset()
    """epochs after which the importance-weighted bound is taken, since the sweep ranks by it"""
    mirrors: bool = False
    """training images are left for right at every other visit, by chance"""

    is_long: bool = False
    """whether it is of confirm runs, which no rung compares"""
    last_decay_epochs: int | None = None
    """of a run that goes on from another's state: epochs at its end in which the rate falls; None: by its length"""
    shards: int = 1
    """of a batch, which threads work on at once"""

    @property
    def decay_epochs(self) -> int:
        """Epochs at the end over which the learning rate falls to nothing: all of a cosine, the last ones of `wsd`.

        Trials of `wsd` stay at their rate, so that those of any length are compared as equals.
        """
        if self.lr_schedule == "wsd":
            if self.last_decay_epochs is not None:
                return self.last_decay_epochs
            return decay_epochs_of(self.epochs) if self.is_long else 0
        return self.epochs if self.lr_schedule == "cosine" else 0

    @property
    def measures_instability(self) -> bool:
        """True if every config of the sweep is evaluated often enough; see `measures_instability` of the spec."""
        return measures_instability(self.epochs, longest_warmup_epochs=self.longest_warmup_epochs)

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
            precision=spec.precision,
            patience=spec.budget.patience,
            longest_warmup_epochs=longest_warmup_epochs(spec.search_space),
            iwae_epochs=frozenset([*rungs, spec.budget.epochs]) if spec.bound == "iwae" else frozenset(),
            mirrors=spec.data.mirror,
        )

    def stopping_rule(self, config: Config) -> StoppingRule:
        """The rule that ends a training of `config`, as `SweepSpec.stopping_rule` gives it to the driver."""
        return StoppingRule(
            epochs=self.epochs,
            warmup_epochs=config.kl_warmup_epochs,
            patience=self.patience,
            evaluations=EVALUATIONS_OF_INSTABILITY,
            elbo_epochs=config.elbo_epochs(self.epochs),
        )

    def confirming(self, epochs: int, *, decay_epochs: int | None = None, shards: int = 1) -> "TrainingPlan":
        """The plan of the sweep's confirm runs, which are compared at their end alone.

        Args:
            decay_epochs: of a run that goes on; None: by the length.
            shards: of its batches.
        """
        iwae_epochs = frozenset([epochs] if self.iwae_epochs else [])
        return replace(
            self,
            epochs=epochs,
            iwae_epochs=iwae_epochs,
            is_long=True,
            last_decay_epochs=decay_epochs,
            shards=shards,
        )
