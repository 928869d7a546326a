"""Continuation of the best fresh seed: which run it is, and the stages that decide its length. Pure functions.

The seeds that testify for a config are trained for one length, to its end, with the learning rate's decay. A training
at a constant rate has no end of its own, so the best of them goes on from where its rate was still constant, alone and
with all cores, and decays once the time is nearly over: it needs no length before that (Hägele et al. 2024, "Scaling
Laws and Compute-Optimal Training Beyond Fixed Training Durations").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vae_search.core.trial_state import State
from vae_search.search.planning.confirm_time import RESERVE, START_S
from vae_search.spec.planning.decay import decay_epochs_of
from vae_search.store.ledger.confirm_runs import SELECTING_SEED, ConfirmRow, best_on_select, by_trial
from vae_search.store.queries.confirmed_configs import confirmed_place

LEAST_SHARD_IMAGES = 32  # smaller products leave more of a core idle than another core adds
PROBE_EPOCHS = 4  # at the constant rate, before the speed with these threads is known; the first compiles
LAST_STAGE = 4  # after the probe and two halves at the constant rate: the decay, in all the time that is left then


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Stage of a continuation: the epoch up to which nothing more is decided."""

    until: int
    """the last epoch of it, counted from the beginning of the run that goes on"""
    decay_epochs: int
    """that the rate falls in, and that end the training; 0: it stays constant"""


def shards_of(batch_size: int, *, threads: int) -> int:
    """Parts of each batch that so many threads work on at once.

    Two threads with half a batch each train 1.28 times as fast as two that share each operation, and 1.87 times as fast
    as one (three layers of 512 units, batches of 256).
    """
    return max(1, min(threads, batch_size // LEAST_SHARD_IMAGES))


def best_seed(rows: Sequence[ConfirmRow], *, seeds: int) -> ConfirmRow | None:
    """The run that goes on: of the config that asks for promotion first, the best fresh seed on the select images.

    A sweep that was extended may have confirmed several configs. All seeds of this one have completed; the trial that
    found it is not among them.
    """
    place, runs = confirmed_place(rows), by_trial(rows)
    for trial in sorted(runs, key=place):
        fresh = [run for run in runs[trial] if run.confirm_seed > SELECTING_SEED and run.state is State.COMPLETE]
        if len(fresh) >= seeds:
            return best_on_select(fresh)
    return None


def first_stage(
    branch_epoch: int, seed_epochs: int, *, left_s: float, epoch_s: float, judge_epochs: float
) -> Stage | None:
    """The probe; None if the time would not even bring the run to the length that the seeds had.

    Args:
        branch_epoch: from which the run goes on.
        seed_epochs: of each fresh seed.
        epoch_s: with the threads of a trial.
    """
    room = _room(left_s - START_S, epoch_s=epoch_s, judge_epochs=judge_epochs)
    least = max(seed_epochs - branch_epoch, PROBE_EPOCHS + decay_epochs_of(branch_epoch + PROBE_EPOCHS))
    return Stage(until=branch_epoch + PROBE_EPOCHS, decay_epochs=0) if room > least else None


def next_stage(done: int, *, number: int, left_s: float, epoch_s: float, judge_epochs: float) -> Stage:
    """The stage that follows after so many epochs, by the speed that they had.

    The constant rate has two halves, and what the forecast of one has got wrong is made good after it, at last by the
    length of the decay: a machine that is half as fast as its probe was still ends in time.

    Args:
        number: of the stage, counted from 1.
        epoch_s: seconds of an epoch by now.
    """
    room = max(1, _room(left_s, epoch_s=epoch_s, judge_epochs=judge_epochs))
    decay_epochs = decay_epochs_of(done + room)
    if number >= LAST_STAGE or room <= decay_epochs:
        return Stage(until=done + room, decay_epochs=room)
    constant = room - decay_epochs
    return Stage(until=done + (-(-constant // 2) if number == 2 else constant), decay_epochs=0)


def _room(left_s: float, *, epoch_s: float, judge_epochs: float) -> int:
    return math.floor(RESERVE * max(0.0, left_s) / epoch_s - judge_epochs)
