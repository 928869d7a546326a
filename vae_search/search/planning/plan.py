"""Plan of a sweep's time: how its minutes are divided between search, long trainings and judging. Pure functions.

A search by successive halving finds a config; how good its model becomes is decided by how long it is trained then. So
the search gets a share of the time, in it as many configs as a sampler needs to learn from, each for as many epochs as
this leaves room for; the best config is trained with fresh seeds in all the rest. docs/concepts/planning.md has the
evidence for each rule.
"""

import math
from dataclasses import dataclass

from vae_search.search.planning.confirm_time import confirm_length, divide, rounds_of, threads_alone

SEARCH_SHARE = 0.25  # of the time
CONFIGS = 48  # that a search tries before its trials become longer
LEAST_CONFIGS = 16  # that are worth a first rung, where less would not compare anything
REDUCTION_FACTOR = 3
RUNG_SHARE = 9  # of the epochs, at which the first rung stands
MOST_SEARCH_EPOCHS = 81  # beyond which more configs are worth more than longer trials
MOST_TRIALS = 1000
LEAST_GROWTH = 2  # epochs of a confirm run as a multiple of a trial's
CONTEST_SEEDS = 3  # the fewest that a promotion takes
MOST_SEEDS = 5
TRIAL_START_S = 0.5  # of a worker: a trial's graph, first files and row


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Speed of one machine on one data set, for the configs of one search space."""

    epoch_s: float
    """of the mean config, with all workers busy"""
    slow_epoch_s: float
    """of a costly config: the best ones often are"""
    judge_epochs: float
    """cost of judging a model, in epochs of the same config"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Settings that a plan must keep.

    Those of None are for the plan to choose.
    """

    promotes: bool = False
    continues: bool = False
    """whether the best fresh seed may go on alone"""
    cpus_per_trial: int = 1
    gpus_per_trial: float = 0.0
    shares_machine: bool = False
    """whether all workers are on one machine that is the sweep's own, so that one alone may have all cores"""
    least_rung: int = 1
    """epochs before which trials cannot be compared: the longest warm-up must be over"""
    least_epochs: int = 1
    """of a trial, for the objective to be measured"""
    least_trials: int = 1
    """configs that are enqueued"""
    trials: int | None = None
    epochs: int | None = None
    first_rung: int | None = None
    reduction_factor: int = REDUCTION_FACTOR
    prunes: bool = True
    finalists: int | None = None
    seeds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A division of a sweep's time."""

    trials: int
    epochs: int
    """of a trial that is never pruned"""
    first_rung: int | None
    """None: trials are not compared before they end"""
    reduction_factor: int
    finalists: int
    seeds: int
    confirm_epochs: int
    """forecast; decided when the search is over"""
    search_s: float
    """given to the search"""
    confirm_s: float
    """forecast of the long trainings, their judging included"""
    judge_s: float
    """the part of it that judging takes"""
    fits: bool
    """whether even the least that a sweep does has room in its minutes"""
    continues: bool = False
    """whether the best of the seeds is to go on alone, after they have used their share; forecast as well"""
    threads: int | None = None
    """of that run; None if there is none, and in records of older versions"""

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials are compared."""
        return rungs_of(self.epochs, self.first_rung, self.reduction_factor)


def plan(minutes: float, workers: int, speed: Speed, demands: Demands) -> Plan:
    """Divide the minutes of a sweep.

    Args:
        workers: trials at once.

    Raises:
        ValueError: There is no time, no worker, or no speed.
    """
    if not (minutes > 0 and workers >= 1 and speed.epoch_s > 0):
        raise ValueError(f"time, workers and epoch_s must be positive, but got ({minutes}, {workers}, {speed.epoch_s})")
    total_s = 60.0 * minutes
    finalists = 1 if demands.finalists is None else demands.finalists
    seeds = seeds_for(workers, promotes=demands.promotes) if demands.seeds is None else demands.seeds
    search_s = (SEARCH_SHARE if finalists else 1.0) * total_s
    confirm_s = total_s - search_s
    longest = confirm_length(
        confirm_s,
        workers=workers,
        finalists=finalists,
        seeds=seeds,
        epoch_s=speed.slow_epoch_s,
        judge_epochs=speed.judge_epochs,
    )
    most = max(1, longest // LEAST_GROWTH) if finalists else MOST_SEARCH_EPOCHS
    epochs = demands.epochs or _search_epochs(search_s * workers, speed.epoch_s, demands, most=most)
    first = _first_rung(epochs, demands)
    each_s = expected_epochs(epochs, first, demands.reduction_factor) * speed.epoch_s + TRIAL_START_S
    room = math.floor(search_s * workers / each_s)
    if room < demands.reduction_factor and demands.first_rung is None:  # none of so few would go on
        first, each_s = None, epochs * speed.epoch_s + TRIAL_START_S
        room = math.floor(search_s * workers / each_s)
    trials = demands.trials or min(MOST_TRIALS, max(room, demands.least_trials, 1))
    threads = threads_alone(
        workers,
        cpus_per_trial=demands.cpus_per_trial,
        gpus_per_trial=demands.gpus_per_trial,
        shares_machine=demands.shares_machine,
    )
    division = divide(
        confirm_s,
        workers=workers,
        finalists=finalists,
        seeds=seeds,
        epoch_s=speed.slow_epoch_s,
        judge_epochs=speed.judge_epochs,
        least_epochs=epochs,
        may_continue=demands.continues and finalists > 0,
        threads=threads,
        cpus_per_trial=demands.cpus_per_trial,
    )
    judge_s = speed.judge_epochs * speed.slow_epoch_s * rounds_of(workers, finalists=finalists, seeds=seeds)
    needed_s = trials * each_s / workers if demands.trials is None else 0.0
    return Plan(
        trials=trials,
        epochs=epochs,
        first_rung=first,
        reduction_factor=demands.reduction_factor,
        finalists=finalists,
        seeds=seeds,
        confirm_epochs=division.epochs if finalists else 0,
        search_s=search_s,
        confirm_s=confirm_s,
        judge_s=judge_s if finalists else 0.0,
        fits=needed_s <= search_s * (1 + 1e-9) and (longest >= epochs or not finalists),
        continues=division.continues,
        threads=threads if division.continues else None,
    )


def seeds_for(workers: int, *, promotes: bool) -> int:
    """Fresh seeds of the best config: as many as run at once, and no fewer than a promotion takes."""
    return min(MOST_SEEDS, max(CONTEST_SEEDS if promotes else 1, workers))


def rungs_of(epochs: int, first: int | None, reduction_factor: int) -> tuple[int, ...]:
    """Epochs at which trials are compared: first · reduction_factor^k, below the last epoch."""
    found: list[int] = []
    rung = epochs if first is None else first
    while rung < epochs:
        found.append(rung)
        rung *= reduction_factor
    return tuple(found)


def expected_epochs(epochs: int, first: int | None, reduction_factor: int) -> float:
    """Epochs of one trial on average: one in `reduction_factor` advances at each rung."""
    expected, share, done = 0.0, 1.0, 0
    for stop in (*rungs_of(epochs, first, reduction_factor), epochs):
        expected += share * (stop - done)
        share, done = share / reduction_factor, stop
    return expected


def _search_epochs(room_s: float, epoch_s: float, demands: Demands, *, most: int) -> int:
    """The most epochs of a trial with which the search has room for its configs.

    Where epochs are so short that the starts of so many trials would take most of the time, it has fewer configs.

    Args:
        room_s: of all workers, for the search.
        most: epochs that a trial may have.
    """
    configs = max(1.0, demands.least_trials, min(CONFIGS, room_s / (2 * TRIAL_START_S)))
    least = max(demands.least_epochs, demands.first_rung or demands.least_rung)
    found = least
    for epochs in range(least, min(most, MOST_SEARCH_EPOCHS) + 1):
        first = _first_rung(epochs, demands)
        each = expected_epochs(epochs, first, demands.reduction_factor)
        last = max(rungs_of(epochs, first, demands.reduction_factor), default=0)
        # A rung shortly before the end would compare what is over anyway.
        wanted = (
            min(configs, max(LEAST_CONFIGS, demands.least_trials)) if epochs <= REDUCTION_FACTOR * least else configs
        )
        if (each * epoch_s + TRIAL_START_S) * wanted <= room_s and LEAST_GROWTH * last <= epochs:
            found = epochs
    return found


def _first_rung(epochs: int, demands: Demands) -> int | None:
    """The first rung of trials with so many epochs; None if it would not come before their end."""
    if not demands.prunes:
        return None
    first = demands.first_rung or max(demands.least_rung, epochs // RUNG_SHARE, 1)
    return first if first < epochs else None
