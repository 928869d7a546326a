"""Held-out bounds of a trial by epoch, the same for pruning, sampler and importances, which compare them at rungs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from vae_search.core.trial_state import State
from vae_search.store.ledger.rows import EpochRow, TrialRow


def recorded_bounds(curve: Iterable[EpochRow]) -> dict[int, float]:
    """Held-out bound that the sweep ranks by, for each epoch of a learning curve that has one."""
    return {epoch.epoch: epoch.neg_bound for epoch in curve if epoch.neg_bound is not None}


def bounds_at_rungs(
    row: TrialRow, recorded: Mapping[int, float], rungs: Sequence[int], *, bound: Literal["elbo", "iwae"]
) -> dict[int, float]:
    """Held-out bounds of a trial that has ended, those at rungs included that it had no need to reach.

    One that patience has completed stands there with the bound of the weights that it is left with: whoever comes there
    has to be better than a trial that had nothing more to learn. It is the bound alone, as others have it at a rung,
    and not the objective, which counts the instability of a whole training as well.

    Args:
        recorded: by epoch.
        rungs: epochs at which trials are compared.
        bound: that the sweep ranks by.
    """
    final = -row.iwae if bound == "iwae" and row.iwae is not None else row.neg_elbo
    beyond = rungs if row.state is State.COMPLETE and final is not None else ()
    return dict(recorded) | {rung: final for rung in beyond if rung > row.epochs and final is not None}
