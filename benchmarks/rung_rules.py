"""Replay of sweeps under rules for rungs: stopping and promoting asynchronous successive halving, and variants.

The learning curves are those of `rung_study.py` (64 configs × 2 seeds × 27 epochs, Fashion-MNIST, without and with KL
warm-up); rungs after 3 and 9 epochs, one in three goes on. A sweep of N trials takes N configs in random order, each
with one of its two seeds, on W workers; an epoch takes what it took in the study. Nothing is trained here.

stopping      a trial is judged once, when it reaches the rung, among those that were there before (Ray Tune's ASHA)
stopping+inf  the same; a trial that diverged below the rung counts there as the worst
promoting     a trial waits at its rung; a free worker resumes the best that is now among the first ⌊n/3⌋ of the highest
              rung possible, or starts a new one (Li et al. 2020, algorithm 2); diverged ones count as the worst
at-once       the same, but a trial that is among the first ⌊n/3⌋ when it reaches the rung goes on with its worker

When no trial is left to start and none runs, every rung of the rules that promote has one place at least.
`first_rung.py` replays with other rungs.

A sweep of 200 takes its trials from all 256 trainings of the study, with and without warm-up and both seeds, as the
study has no 200 configs: most configs stand in it three times, each time trained otherwise. Some sweeps have a tenth,
or two fifths, of their trials diverge after two epochs.

    python benchmarks/rung_rules.py
"""

import argparse
import heapq
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ETA, RUNGS, LAST = 3, (3, 9), 27
RESTORE_S = 0.1  # until a worker trains on from a checkpoint; see README
RULES = ("stopping", "stopping+inf", "promoting", "at-once")
SIZES, WORKERS = (24, 64, 200), (1, 2, 4, 16)
HEADER = "workers rule         regret, nats    complete  epochs   CPU s  wall s   to the target: CPU s, wall s, reached"
TARGET_BEST = 3  # of the sweep's trials, were all trained to the end: reaching one of these is the target
DIVERGED_EPOCHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Trials that a sweep may take.

    Values (n, epochs) in nats, seconds an epoch (n,), epoch at which a trial diverges or 0.
    """

    values: np.ndarray
    epoch_s: np.ndarray
    diverges: np.ndarray


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Spent epochs and seconds, and what was trained to the end: (when it ended, CPU s by then, trial)."""

    epochs: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    resumed: int = 0
    complete: list[tuple[float, float, int]] = field(default_factory=list)


class Rungs:
    """Values recorded at each rung, and who has gone beyond it."""

    def __init__(self, rule: str, count: int, *, least_in_the_end: int) -> None:
        """
        Args:
            count: of the rungs.
            least_in_the_end: places of each rung once no other trial comes.
        """
        self._least_in_the_end = least_in_the_end
        self.promotes = rule in ("promoting", "at-once")
        self.at_once = rule == "at-once"
        self.counts_diverged = rule != "stopping"
        self.values: list[dict[int, float]] = [{} for _ in range(count)]
        self.beyond: list[set[int]] = [set() for _ in range(count)]
        self.diverged = [0] * count

    def promotable(self, level: int, *, at_end: bool = False) -> list[int]:
        """Trials that wait at a rung and have a place beyond it, the best first."""
        places = (len(self.values[level]) + self.diverged[level]) // ETA
        if at_end:
            places = max(places, self._least_in_the_end)
        first = sorted(self.values[level], key=self.values[level].__getitem__)[:places]
        return [trial for trial in first if trial not in self.beyond[level]]

    def stays(self, trial: int, level: int) -> bool:
        """True if the stopping rule lets a trial that has just come to a rung go on."""
        count = len(self.values[level]) + (self.diverged[level] if self.counts_diverged else 0)
        rank = 1 + sum(value < self.values[level][trial] for value in self.values[level].values())
        return count < ETA or rank <= max(1, count // ETA)


def replay(
    pool: Pool,
    order: list[int],
    rule: str,
    workers: int,
    restore_s: float = RESTORE_S,
    *,
    rung_epochs: Sequence[int] = RUNGS,
    least_in_the_end: int = 1,
) -> Outcome:
    """One sweep over the trials of `order`, in their order.

    Args:
        rung_epochs: rising, below the last epoch of the curves.
        least_in_the_end: places of each rung once no other trial comes.
    """
    levels = (*rung_epochs, pool.values.shape[1])
    rungs, found = Rungs(rule, len(rung_epochs), least_in_the_end=least_in_the_end), Outcome()
    to_start = [*order]
    events: list[tuple[float, int, int, int]] = []  # when, tie-break, trial, level that it reaches
    counter = itertools.count()
    idle = workers

    def train(now_s: float, trial: int, level: int, extra_s: float = 0.0) -> None:
        begun = levels[level - 1] if level else 0
        epochs = levels[level] - begun
        if pool.diverges[trial] and pool.diverges[trial] <= levels[level]:
            epochs = int(pool.diverges[trial])
        spent_s = epochs * float(pool.epoch_s[trial]) + extra_s
        found.epochs += epochs
        found.cpu_s += spent_s
        heapq.heappush(events, (now_s + spent_s, next(counter), trial, level))

    def assign(now_s: float) -> bool:
        # The least places are given when nothing else can come: what runs may still bring a better trial.
        at_end = not to_start and not events
        if rungs.promotes:
            for level in reversed(range(len(rung_epochs))):
                for trial in rungs.promotable(level, at_end=at_end)[:1]:
                    rungs.beyond[level].add(trial)
                    found.resumed += 1
                    train(now_s, trial, level + 1, restore_s)
                    return True
        if to_start:
            train(now_s, to_start.pop(0), 0)
            return True
        return False

    now_s = 0.0
    while True:
        while idle and assign(now_s):
            idle -= 1
        if not events:
            break
        now_s, _, trial, level = heapq.heappop(events)
        found.wall_s = now_s
        if pool.diverges[trial]:
            if level < len(rung_epochs):
                rungs.diverged[level] += 1
            idle += 1
        elif level == len(rung_epochs):
            found.complete.append((now_s, found.cpu_s, trial))
            idle += 1
        else:
            rungs.values[level][trial] = float(pool.values[trial, levels[level] - 1])
            goes_on = (
                rungs.stays(trial, level) if not rungs.promotes else rungs.at_once and trial in rungs.promotable(level)
            )
            if goes_on:
                rungs.beyond[level].add(trial)
                train(now_s, trial, level + 1)
            else:
                idle += 1
    return found


def study_arms(path: Path) -> dict[str, Pool]:
    """By arm, the trainings of all configs: first those with the first seed, then those with the second."""
    curves = json.loads(path.read_text())["curves"]
    values = np.array([curve["neg_elbos"] for curve in curves]).reshape(-1, 2, 2, LAST)  # config, arm, seed, epoch
    epoch_s = np.array([curve["cpu_s"] for curve in curves]).reshape(-1, 2, 2) / LAST
    arms = {}
    for arm, name in enumerate(("without", "with")):
        both = np.concatenate([values[:, arm, 0], values[:, arm, 1]])
        times = np.concatenate([epoch_s[:, arm, 0], epoch_s[:, arm, 1]])
        arms[name] = Pool(values=both, epoch_s=times, diverges=np.zeros(len(both), int))
    return arms


def drawn(arms: Mapping[str, Pool], arm: str, size: int, rng: np.random.Generator) -> Pool:
    """As many trials as a sweep has, in their order: of one arm with either seed; of all if an arm has too few."""
    configs = len(arms[arm].values) // 2
    if size <= configs:
        chosen = rng.permutation(configs)[:size] + configs * rng.integers(0, 2, size)
        values, epoch_s = arms[arm].values, arms[arm].epoch_s
    else:
        values = np.concatenate([each.values for each in arms.values()])
        epoch_s = np.concatenate([each.epoch_s for each in arms.values()])
        chosen = rng.permutation(len(values))[:size]
    return Pool(values=values[chosen], epoch_s=epoch_s[chosen], diverges=np.zeros(size, int))


def with_divergence(pool: Pool, rng: np.random.Generator, share: float) -> Pool:
    """The same trials, of which a share ends early."""
    diverges = np.where(rng.random(len(pool.values)) < share, DIVERGED_EPOCHS, 0)
    return Pool(values=pool.values, epoch_s=pool.epoch_s, diverges=diverges)


def measured(pool: Pool, outcome: Outcome) -> dict[str, float]:
    """Regret and costs of one sweep; the target is the final value that the best few of its trials would reach."""
    finals = np.where(pool.diverges > 0, np.inf, pool.values[:, -1])
    ended = [finals[trial] for _, _, trial in outcome.complete]
    target = np.sort(finals)[TARGET_BEST - 1]
    reached = [(when_s, cpu_s) for when_s, cpu_s, trial in outcome.complete if finals[trial] <= target]
    return {
        "regret": float(min(ended) - finals.min()) if ended else float("nan"),
        "complete": len(ended),
        "median_behind": float(np.median(ended) - finals.min()) if ended else float("nan"),
        "epochs": outcome.epochs,
        "cpu_s": outcome.cpu_s,
        "wall_s": outcome.wall_s,
        "resumed": outcome.resumed,
        "reached": bool(reached),
        "cpu_s_to_target": reached[0][1] if reached else outcome.cpu_s,
        "wall_s_to_target": reached[0][0] if reached else outcome.wall_s,
    }


def compared(
    arms: Mapping[str, Pool], arm: str, size: int, workers: int, *, diverging: float, repeats: int
) -> dict[str, dict[str, float]]:
    """Means over the same sweeps for each rule."""
    found: dict[str, list[dict[str, float]]] = {rule: [] for rule in RULES}
    for repeat in range(repeats):
        rng = np.random.default_rng([size, repeat])
        pool = with_divergence(drawn(arms, arm, size, rng), rng, diverging)
        for rule in RULES:
            found[rule].append(measured(pool, replay(pool, list(range(size)), rule, workers)))
    return {
        rule: {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        | {
            "regret_se": float(np.std([one["regret"] for one in each]) / np.sqrt(repeats)),
        }
        for rule, each in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400, help="sweeps for each figure")
    parser.add_argument("--study", type=Path, default=HERE / "results" / "rung_study.json")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "rung_rules.json")
    arguments = parser.parse_args()
    arms = study_arms(arguments.study)
    cases = [("without", size, 0.0) for size in SIZES if size <= 64]
    cases += [("with", size, 0.0) for size in SIZES]
    cases += [("with", size, share) for share in (0.1, 0.4) for size in SIZES]
    results = []
    for arm, size, diverging in cases:
        curves = "both" if size > 64 else arm
        print(f"\n{size} trials, curves {curves}, {diverging:.0%} diverge\n{HEADER}")
        for workers in WORKERS:
            found = compared(arms, arm, size, workers, diverging=diverging, repeats=arguments.repeats)
            results.append(
                {"curves": curves, "trials": size, "workers": workers, "diverging": diverging, "rules": found}
            )
            for rule, of in found.items():
                print(
                    f"{workers:7d} {rule:12s} {of['regret']:7.3f} ± {of['regret_se']:5.3f} {of['complete']:8.1f}"
                    f" {of['epochs']:8.0f} {of['cpu_s']:7.1f} {of['wall_s']:7.1f} {of['cpu_s_to_target']:12.1f}"
                    f" {of['wall_s_to_target']:7.1f} {of['reached']:6.2f}",
                    flush=True,
                )
    report = {"repeats": arguments.repeats, "restore_s": RESTORE_S, "eta": ETA, "rungs": RUNGS, "results": results}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
