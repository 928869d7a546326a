"""Outcome of a sweep that has ended: its status, and the promotion of its best finalist if its spec names a model."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.errors import Conflict, SweepFailed
from vae_search.services.sweep_status import SweepStatus
from vae_search.store.backends.base import Store
from vae_search.store.sweeps import sweep_record

if TYPE_CHECKING:
    from vae_search.registry.promotion.pipeline import Decision
    from vae_search.search.progress import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOutcome:
    """Result of `run` or `resume`: a sweep's status, and the decision on its promotion."""

    status: SweepStatus
    promotion: "Decision | None"
    """None if the spec names no model, or no confirm run has completed"""


def outcome_of(
    store: Store, status: SweepStatus, *, cache: Path, observer: "Observer", address: str | None
) -> SweepOutcome:
    """Promote the best finalist of a sweep that has ended, if its spec names a model.

    Args:
        address: of the cluster that measures it, on a worker node; None: this process does.

    Raises:
        SweepFailed: No trial completed.
        VaeSearchError: What `champions.promote` raises.
    """
    spec = status.spec
    if not status.leaderboard.states[State.COMPLETE]:
        if status.ended_by_time:
            raise SweepFailed(f"sweep {spec.name}: no trial completed. {time_is_used(status)}")
        raise SweepFailed(
            f"sweep {spec.name}: none of its {status.leaderboard.finished} trials completed.\n"
            f"See why with `vae-search best {spec.name} --all`."
        )
    if spec.promote is None or not status.can_promote:
        return SweepOutcome(status=status, promotion=None)
    from vae_search.services.models.champions import promote

    observer.on_phase(f"judging the finalists of {spec.name}")
    try:
        promotion = promote(store, spec.name, spec=spec, cache=cache, address=address)
    except Conflict as refusal:
        from vae_search.data.comparability import METRIC_VERSION

        if sweep_record.read(store, spec.name).metric_version == METRIC_VERSION:
            raise
        observer.on_warning(str(refusal))  # what an older version has found is shown all the same
        promotion = None
    return SweepOutcome(status=status, promotion=promotion)


def time_is_used(status: SweepStatus) -> str:
    """Say which limit has ended a sweep before its trials were used, and the command that raises it."""
    if (words := status.limits.end_words(status)) is not None:
        return words
    spec, used_minutes = status.spec, status.driver_s / 60
    minutes = spec.budget.minutes or 0.0
    return (
        f"Its budget of {minutes:g} minutes is used, with {status.used} of {spec.budget.trials} trials ended.\n"
        f"Raise it to go on: `vae-search resume {spec.name} --set budget.minutes={math.ceil(minutes + used_minutes)}`."
    )
