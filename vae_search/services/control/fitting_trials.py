"""Trials of another sweep that a sampler can compare with its own: those that fit its space and its rungs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.trial_state import Reason, State
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.store.sweeps.forks import point_of

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec

RUNGS = "rungs"
CURVE = "learning curve"
TELLS_NOTHING = (Reason.STOPPED, Reason.RAISED)  # of the config, so that a sampler leaves it out


@dataclass(frozen=True, slots=True, kw_only=True)
class FittingTrials:
    """Trials that a sweep may borrow, and how many it may not, by the reason in a word."""

    rows: tuple[TrialRow, ...]
    left_out: Mapping[str, int]


def fitting_trials(
    rows: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    *,
    spec: "SweepSpec",
    states: Collection[State] = (State.COMPLETE,),
) -> FittingTrials:
    """Choose the trials that a sampler can compare with its own.

    Args:
        curves: by trial.
        spec: of the sweep that borrows them.
        states: that they may have. Of those that failed or were cut only what tells of their config is borrowed.
    """
    from vae_search.search.pruning import SuccessiveHalving

    rungs = SuccessiveHalving(spec).epochs
    fitting: list[TrialRow] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        if row.state not in states or row.reason in TELLS_NOTHING:
            continue
        point = point_of(spec.search_space, row.params)
        if isinstance(point, str):
            left_out[point] += 1
        elif row.state is State.FAIL:
            fitting.append(row)
        elif row.trial not in curves:
            left_out[CURVE] += 1
        elif spec.bound == "iwae" and not _has_bounds(curves[row.trial], rungs):
            left_out[RUNGS] += 1
        else:
            fitting.append(row)
    return FittingTrials(rows=tuple(fitting), left_out=left_out)


def _has_bounds(curve: Sequence[EpochRow], rungs: Sequence[int]) -> bool:
    """True if the curve has the tighter bound, which is measured at the old sweep's rungs alone, at these ones too."""
    measured = {epoch.epoch: epoch.iwae is not None for epoch in curve}
    return all(measured.get(rung, True) for rung in rungs)
