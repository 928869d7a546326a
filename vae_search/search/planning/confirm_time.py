"""Time of the long trainings: rounds, length of a run, and the part of the fresh seeds. Pure functions.

The forecast before a sweep and the decision at the end of its search both divide the time here.
"""

import math
from dataclasses import dataclass

MOST_CONFIRM_EPOCHS = 100_000
RESERVE = 0.97  # of the time of a confirm run that is epochs; the rest is its start, scores and files
SEEDS_SHARE = 0.35  # of the time of all long trainings, for the fresh seeds, where the best of them goes on
LEAST_ROUNDS = 1.15  # of the seeds on the workers, from which on one alone gets more without further threads
START_S = 10.0  # of a process with other threads: TensorFlow, the graph, the state
LEAST_CONTINUED_S = 2 * START_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmDivision:
    """A division of the time of the long trainings."""

    epochs: int
    """of each fresh seed; 0 if there is no time for any"""
    continues: bool
    """whether the best of them goes on in the rest"""


def divide(
    left_s: float,
    *,
    workers: int,
    finalists: int,
    seeds: int,
    epoch_s: float,
    judge_epochs: float,
    least_epochs: int,
    may_continue: bool,
    threads: int,
    cpus_per_trial: int,
) -> ConfirmDivision:
    """Divide the time of the long trainings between the fresh seeds and what goes on from the best of them.

    Args:
        left_s: for all of them, judging included.
        epoch_s: seconds of an epoch of the config, with all workers busy.
        judge_epochs: cost of judging a model, in epochs.
        least_epochs: of a seed: with fewer than its trial had, a model would be worse.
        may_continue: whether a run may go on at all.
        threads: that it would have.
    """
    rounds = rounds_of(workers, finalists=finalists, seeds=seeds)

    def epochs_in(time_s: float) -> int:
        found = confirm_length(
            time_s, workers=workers, finalists=finalists, seeds=seeds, epoch_s=epoch_s, judge_epochs=judge_epochs
        )
        return max(found, least_epochs)

    of_seeds_s = time_of_seeds_s(left_s, rounds=rounds, threads=threads, cpus_per_trial=cpus_per_trial)
    epochs = epochs_in(of_seeds_s)
    rest_s = left_s - rounds * (epochs + judge_epochs) * epoch_s
    if may_continue and of_seeds_s < left_s and rest_s >= LEAST_CONTINUED_S:
        return ConfirmDivision(epochs=epochs, continues=True)
    return ConfirmDivision(epochs=epochs_in(left_s), continues=False)


def rounds_of(workers: int, *, finalists: int, seeds: int) -> float:
    """Time of all confirm runs, in that of one: those that choose among several finalists, then the best one's seeds.

    Seeds take turns (see `turns.py`), so that no worker is idle while another has two runs before it.
    """
    if not finalists:
        return 0.0
    return (-(-finalists // workers) if finalists > 1 else 0) + max(1.0, seeds / workers)


def confirm_length(
    left_s: float, *, workers: int, finalists: int, seeds: int, epoch_s: float, judge_epochs: float
) -> int:
    """Epochs of each confirm run for which the time is enough; 0 if it is not enough for one.

    Args:
        left_s: for all of them.
    """
    rounds = rounds_of(workers, finalists=finalists, seeds=seeds)
    if not rounds or left_s <= 0:
        return 0
    epochs = RESERVE * left_s / (rounds * epoch_s) - judge_epochs
    return min(MOST_CONFIRM_EPOCHS, max(0, math.floor(epochs)))


def time_of_seeds_s(left_s: float, *, rounds: float, threads: int, cpus_per_trial: int) -> float:
    """Seconds for the fresh seeds; all that is left where nothing is gained by a continuation.

    Args:
        rounds: time of all seeds, in that of one.
        threads: that the continuation would have.
    """
    gains = threads > cpus_per_trial or rounds > LEAST_ROUNDS
    is_worth_it = gains and (1.0 - SEEDS_SHARE) * left_s >= LEAST_CONTINUED_S
    return SEEDS_SHARE * left_s if is_worth_it else left_s


def threads_alone(workers: int, *, cpus_per_trial: int, gpus_per_trial: float, shares_machine: bool) -> int:
    """Threads of a run that is trained alone.

    Args:
        shares_machine: whether all workers are on one machine that is the sweep's own; on a cluster, and with a GPU,
            the run has no more than a trial.
    """
    return workers * cpus_per_trial if shares_machine and not gpus_per_trial else cpus_per_trial
