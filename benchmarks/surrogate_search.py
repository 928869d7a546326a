"""CPU seconds to a model of a given quality on a **surrogate**: what rungs and sampler bring, over many seeds.

Nothing is trained. Extremely randomised trees (Geurts et al. 2006) that go through the 64 configs without KL warm-up of
`results/rung_study.json` give learning curve and CPU seconds of any config of its space. The study's two seeds have
trees of their own, and a trial follows either. Between known configs curves are smoother than trainings are, and none
is better than the best known; so this compares ways of searching, and says nothing of VAEs. `time_to_target.py` is the
real thing, with few seeds.

The clock stops when any trial reaches a target: what three of 64 random configs reach, as in `time_to_target.py`, and
what one of 200 does. A search that has not got there with its 128 configs counts as the longest that has.

    python benchmarks/surrogate_search.py --seeds 40
"""

import argparse
import json
import math
import statistics
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
from fashion import SPACE
from machine import describe_machine
from sklearn.ensemble import ExtraTreesRegressor
from time_to_target import interval
from told_by_state import ToldByState

from vae_search.core.trial_state import Reason, State
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.spec.search_space_yaml import read_space

HERE = Path(__file__).parent
EPOCHS, TRIALS, ETA = 27, 128, 3
RUNGS = (3, 9)
TARGETS = {"3 of 64": 3 / 64, "1 of 200": 1 / 200}  # by the share of random configs that reach it
LOG = {name for name, entry in SPACE.items() if entry.get("log")}
FASHION_SPACE = read_space(SPACE)


class Surrogate:
    """Learning curves, nats, and CPU seconds of an epoch, of any config."""

    def __init__(self, curves: list[dict]) -> None:
        self._seeds = []
        for seed in (0, 1):
            of_seed = curves[seed::2]
            trees = ExtraTreesRegressor(100, bootstrap=False, min_samples_leaf=1, random_state=seed)
            trees.fit(
                [self._point(curve["params"]) for curve in of_seed],
                [[*curve["neg_elbos"], curve["cpu_s"] / EPOCHS] for curve in of_seed],
            )
            self._seeds.append(trees)

    @staticmethod
    def _point(params: dict) -> list[float]:
        return [math.log(params[name]) if name in LOG else float(params[name]) for name in SPACE]

    def trained(self, configs: list[dict], *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Curves (configs, epochs), and CPU seconds of one epoch of each.

        Args:
            seed: 0 or 1.
        """
        points = np.array([self._point(params) for params in configs], np.float32)
        # Tree by tree: for one config the ensemble's own `predict` takes ten times as long.
        found = np.mean([tree.tree_.predict(points)[:, :, 0] for tree in self._seeds[seed].estimators_], axis=0)
        return found[:, :-1], found[:, -1]


class Search:
    """One search on a surrogate, one trial at a time; its clock is CPU seconds."""

    def __init__(self, study: SweepStudy, surrogate: Surrogate, seed: int) -> None:
        self.study = study
        self.spent_s = 0.0
        self._surrogate = surrogate
        self._rng = np.random.default_rng([seed, 7])
        self._params: list[dict] = []
        self._curves: list[np.ndarray] = []
        self._epoch_s: list[float] = []
        self._epochs: list[int] = []

    def begin(self) -> int:
        trial = len(self._params)
        params = self.study.ask(trial)
        curves, epoch_s = self._surrogate.trained([params], seed=int(self._rng.integers(2)))
        self._params.append(params)
        self._curves.append(curves[0])
        self._epoch_s.append(float(epoch_s[0]))
        self._epochs.append(0)
        return trial

    def train(self, trial: int, *, until: int) -> Iterator[float]:
        """Train a trial to an epoch, and yield each epoch's value."""
        while self._epochs[trial] < until:
            value = float(self._curves[trial][self._epochs[trial]])
            self._epochs[trial] += 1
            self.spent_s += self._epoch_s[trial]
            yield value
        self.study.note(trial, {until: value})

    def end(self, trial: int) -> None:
        complete = self._epochs[trial] == EPOCHS
        neg_bounds = {epoch: float(self._curves[trial][epoch - 1]) for epoch in range(1, self._epochs[trial] + 1)}
        self.study.tell(
            TrialResult(
                trial=trial,
                state=State.COMPLETE if complete else State.PRUNED,
                reason=None if complete else Reason.RUNG,
                params=self._params[trial],
                objective=neg_bounds[EPOCHS] if complete else None,
                neg_bounds=neg_bounds,
            )
        )


def whole(search: Search) -> Iterator[float]:
    for _ in range(TRIALS):
        trial = search.begin()
        yield from search.train(trial, until=EPOCHS)
        search.end(trial)


def stopping(search: Search) -> Iterator[float]:
    """Asynchronous halving that ends a trial at a rung for good, as Ray's ASHA does."""
    recorded: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    for _ in range(TRIALS):
        trial = search.begin()
        for rung in (*RUNGS, EPOCHS):
            values = [*search.train(trial, until=rung)]
            yield from values
            at_rung = recorded.get(rung, [])
            at_rung.append(values[-1])
            rank, count = 1 + sum(other < values[-1] for other in at_rung), len(at_rung)
            if count >= ETA and rank > max(1, count // ETA):
                break
        search.end(trial)


def promoting(search: Search) -> Iterator[float]:
    """Asynchronous halving that pauses at rungs (Li et al. 2020, algorithm 2): the highest rung's best go on first."""
    levels = (*RUNGS, EPOCHS)
    recorded: list[dict[int, float]] = [{} for _ in levels]
    gone_on: list[set[int]] = [set() for _ in levels]
    begun = 0
    while True:
        trial, level = next(
            (
                (trial, level + 1)
                for level in reversed(range(len(RUNGS)))
                for trial in sorted(recorded[level], key=recorded[level].__getitem__)[: len(recorded[level]) // ETA]
                if trial not in gone_on[level]
            ),
            (-1, 0),
        )
        if level:
            gone_on[level - 1].add(trial)
        elif begun == TRIALS:
            return
        else:
            trial, begun = search.begin(), begun + 1
        values = [*search.train(trial, until=levels[level])]
        yield from values
        recorded[level][trial] = values[-1]
        if levels[level] == EPOCHS:
            search.end(trial)


def random_study(seed: int) -> SweepStudy:
    return SweepStudy(FASHION_SPACE, sampler="random", seed=seed)


def tpe(seed: int) -> SweepStudy:
    return SweepStudy(FASHION_SPACE, sampler="tpe", seed=seed, rungs=RUNGS)


def tpe_whole(seed: int) -> SweepStudy:
    return SweepStudy(FASHION_SPACE, sampler="tpe", seed=seed)


WAYS = {
    "random, to the end": (random_study, whole),
    "TPE, to the end": (tpe_whole, whole),
    "random, stopping": (random_study, stopping),
    "TPE told by state, stopping": (lambda seed: ToldByState(FASHION_SPACE, seed=seed), stopping),
    "TPE at the common rung, stopping": (tpe, stopping),
    "random, promoting": (random_study, promoting),
    "TPE at the common rung, promoting": (tpe, promoting),
}


def cpu_s_to(targets: dict[str, float], way: str, surrogate: Surrogate, seed: int) -> dict[str, float | None]:
    """CPU seconds of one search to each target; None where it was over before."""
    make, rule = WAYS[way]
    search = Search(make(seed), surrogate, seed)
    found: dict[str, float | None] = dict.fromkeys(targets)
    for value in rule(search):
        for name, target in targets.items():
            if found[name] is None and value <= target:
                found[name] = search.spent_s
        if None not in found.values():
            break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "surrogate_search.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = json.loads((HERE / "results" / "rung_study.json").read_text())
    surrogate = Surrogate([curve for curve in study["curves"] if curve["warmup"] == 0])
    drawing = random_study(10**6)
    configs = [drawing.ask(trial) for trial in range(2000)]
    lowest = np.concatenate([surrogate.trained(configs, seed=seed)[0].min(axis=1) for seed in (0, 1)])
    targets = {name: float(np.quantile(lowest, share)) for name, share in TARGETS.items()}
    print(f"targets {targets}, the best of 2,000 random configs {lowest.min():.2f} nats")
    found = {}
    for way in WAYS:
        found[way] = [cpu_s_to(targets, way, surrogate, seed) for seed in range(arguments.seeds)]
        print(f"{way}: {arguments.seeds} searches done", flush=True)
    report: dict[str, object] = {"targets": targets, "seeds": arguments.seeds}
    for name in targets:
        cpu_s = {way: [result[name] for result in results] for way, results in found.items()}
        report[name] = compared(cpu_s)
        for way, entry in report[name].items():
            low, high = entry["interval"]
            print(
                f"{name}: {way:<34} median {entry['median_cpu_s']:6.1f} CPU s [{low:.1f}, {high:.1f}], "
                f"{entry['share_of_random']:.2f} of random, reached in {entry['reached']}"
            )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report | {"machine": describe_machine()}, indent=1) + "\n")


def compared(cpu_s: dict[str, list[float | None]]) -> dict[str, dict]:
    longest = max(value for values in cpu_s.values() for value in values if value is not None)
    filled = {way: [longest if value is None else value for value in values] for way, values in cpu_s.items()}
    base = statistics.median(filled["random, to the end"])
    return {
        way: {
            "median_cpu_s": statistics.median(values),
            "interval": interval(values),
            "mean_cpu_s": statistics.mean(values),
            "share_of_random": statistics.median(values) / base,
            "reached": sum(value is not None for value in cpu_s[way]),
        }
        for way, values in filled.items()
    }


if __name__ == "__main__":
    main()
