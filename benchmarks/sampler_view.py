"""What TPE hears of a sweep and takes for good, before and after; and what the report makes of it.

Before: Optuna's own order, told of states (`told_by_state.py`). After: `vae_search/search/study`. Four questions:

border       a synthetic bound whose best learning rate lies 0.1 decades below the one where everything diverges: how
             many of trials 20 to 59 diverge, and how far from the best is the best that was found?
good         replays of the 64 configs of `results/rung_study.json` in random orders, cut by rungs: how far above the
             best config would the trials end that TPE takes for good, had they all gone to the end?
window       the same bound, 2,000 trials: how many diverge, by trial number, with what is seen of a long sweep?
importances  the same replays: how far are fANOVA's shares from those of all 64 configs at their end?

    python benchmarks/sampler_view.py
"""

import argparse
import json
import math
import statistics
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import optuna
from fashion import SPACE
from machine import describe_machine
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from told_by_state import ToldByState

from vae_search.core.trial_state import Reason, State
from vae_search.search.study import sampler_storage
from vae_search.search.study.importances import _shares
from vae_search.search.study.rung_values import RungValues
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.spec.search_space import SearchSpace
from vae_search.spec.search_space_yaml import read_space

HERE = Path(__file__).parent
STUDY = HERE / "results" / "rung_study.json"
EPOCHS, RUNGS, ETA = 27, (3, 9), 3
BORDER_SPACE = read_space(
    {
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "beta": {"type": "float", "low": 0.25, "high": 4.0, "log": True},
        "latent_dim": {"type": "int", "low": 2, "high": 64, "log": True},
    }
)
FASHION_SPACE = read_space(SPACE)
WINDOWS = ((60, 250), (250, 500), (500, 1000), (1000, 1500), (1500, 2000))


def ours(space: SearchSpace, *, seed: int, sampler: str = "tpe") -> SweepStudy:
    return SweepStudy(space, sampler=sampler, seed=seed, rungs=RUNGS)


def border_bound(params: dict) -> float | None:
    """Nats above the best; None if the config diverges."""
    rate = math.log10(params["learning_rate"])
    if rate > -1.9:
        return None
    return 3 * (rate + 2) ** 2 + 2 * math.log(params["beta"]) ** 2 + math.log(params["latent_dim"] / 24) ** 2


def border_sweep(study: SweepStudy, trials: int) -> list[float | None]:
    values = []
    for trial in range(trials):
        params = study.ask(trial)
        value = border_bound(params)
        ended = {"state": State.COMPLETE} if value is not None else {"state": State.FAIL, "reason": Reason.DIVERGED}
        study.tell(TrialResult(trial=trial, params=params, objective=value, **ended))
        values.append(value)
    return values


def border(make: Callable, seeds: int) -> dict[str, float]:
    sweeps = [border_sweep(make(BORDER_SPACE, seed=seed), 60) for seed in range(seeds)]
    late = [statistics.mean(value is None for value in values[20:]) for values in sweeps]
    regrets = [min(value for value in values if value is not None) for values in sweeps]
    return {
        "diverged_of_trials_20_59": statistics.mean(late),
        "highest_of_a_sweep": max(late),
        "regret_nats": statistics.mean(regrets),
        "highest_regret_nats": max(regrets),
    }


def cut_by_rungs(curves: np.ndarray, order: Iterable[int]) -> dict[int, int]:
    """The epoch at which each config ends, one after the other, by the stopping rule of asynchronous halving."""
    recorded: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    ends = {}
    for config in order:
        ends[config] = EPOCHS
        for rung in RUNGS:
            value = curves[config, rung - 1]
            recorded[rung].append(value)
            count = len(recorded[rung])
            if count >= ETA and 1 + sum(other < value for other in recorded[rung]) > max(1, count // ETA):
                ends[config] = rung
                break
    return ends


def good_of(make: Callable, configs: list[dict], curves: np.ndarray, ends: dict[int, int]) -> list[int]:
    """Configs that TPE would take for good, after a sweep in which each ended there."""
    study = make(FASHION_SPACE, seed=0, sampler="random")  # draws nothing, and does so faster
    for trial, (config, end) in enumerate(ends.items()):
        params = study.ask(trial, enqueued=configs[config])
        complete = end == EPOCHS
        neg_bounds = {epoch: float(curves[config, epoch - 1]) for epoch in range(1, end + 1)}
        study.tell(
            TrialResult(
                trial=trial,
                state=State.COMPLETE if complete else State.PRUNED,
                reason=None if complete else Reason.RUNG,
                params=params,
                objective=neg_bounds[end] if complete else None,
                neg_bounds=neg_bounds,
            )
        )
    trials = study.trials()
    good, _ = _split_trials(study._study, trials, default_gamma(len(trials)))
    order = [*ends]
    return [order[trial.number] for trial in good]


def good_sets(configs: list[dict], curves: np.ndarray, *, trials: int, orders: int) -> dict[str, dict[str, float]]:
    """Regret of the good set, nats, its worst member's, and its share of the truly best; (configs, epochs)."""
    rng, final = np.random.default_rng(1), curves[:, -1]
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(orders):
        order = [int(config) for config in rng.permutation(len(configs))[:trials]]
        ends = cut_by_rungs(curves, order)
        best = sorted(order, key=lambda config: final[config])[: default_gamma(trials)]
        sets = {
            "before": good_of(ToldByState, configs, curves, ends),
            "after": good_of(ours, configs, curves, ends),
            "best possible": best,
        }
        for way, good in sets.items():
            regrets = final[good] - final[order].min()
            found.setdefault(way, []).append((regrets.mean(), regrets.max(), len({*good} & {*best}) / len(best)))
    names = ("regret_nats", "worst_member_nats", "recall")
    return {way: dict(zip(names, np.mean(values, axis=0).tolist(), strict=True)) for way, values in found.items()}


def window(seeds: int, *, newest: int, older: int) -> dict[str, float]:
    """Share of the suggestions that diverge, by trial number, where so many of the newest and the others are seen."""
    kept = sampler_storage.NEWEST, sampler_storage.OLDER
    sampler_storage.NEWEST, sampler_storage.OLDER = newest, older
    try:
        sweeps = [border_sweep(ours(BORDER_SPACE, seed=seed), WINDOWS[-1][1]) for seed in range(seeds)]
    finally:
        sampler_storage.NEWEST, sampler_storage.OLDER = kept
    diverged = np.array([[value is None for value in values] for values in sweeps])
    return {f"{first}-{last - 1}": float(diverged[:, first:last].mean()) for first, last in WINDOWS}


def importances(configs: list[dict], curves: np.ndarray, truth: np.ndarray, orders: int) -> dict[str, float]:
    """Sum of absolute differences to the shares of all configs at their end, over orders; 2 is the most."""
    rng = np.random.default_rng(2)
    complete = shares(configs, dict(enumerate(truth)))
    found: dict[str, list[float]] = {}
    for _ in range(orders):
        values = RungValues(RUNGS)
        ends = cut_by_rungs(curves, rng.permutation(len(configs)).tolist())
        for config, end in ends.items():
            for rung in RUNGS:
                if rung <= end:
                    values.note(config, rung, float(curves[config, rung - 1]))
            values.end(config, float(curves[config, -1]) if end == EPOCHS else None)
        places = sorted(ends, key=lambda config: (-ends[config], curves[config, ends[config] - 1]))
        ways = {
            "completed": values.highest_with(0)[1],
            "places, completed first": {config: float(place) for place, config in enumerate(places)},
            "sampler's rung": values.highest_with(values.enough)[1],
            "after: last rung of half": values.highest_with(values.half)[1],
        }
        for way, scores in ways.items():
            if (told := shares(configs, scores)) is not None:
                found.setdefault(way, []).append(float(np.abs(told - complete).sum()))
    return {way: statistics.mean(values) for way, values in found.items()}


def shares(configs: list[dict], scores: dict[int, float]) -> np.ndarray | None:
    found = _shares(FASHION_SPACE, [(configs[config], score) for config, score in sorted(scores.items())])
    return np.array([found.get(name, 0.0) for name in SPACE]) if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "sampler_view.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    recorded = json.loads(STUDY.read_text())["curves"]
    by_arm = {"without": recorded[0::4], "with": recorded[2::4]}  # by config, then warm-up, then seed
    others = {"without": recorded[1::4], "with": recorded[3::4]}
    report: dict[str, dict] = {"border": {}, "good": {}, "window": {}, "importances": {}}
    for way, make in (("before", ToldByState), ("after", ours)):
        report["border"][way] = border(make, arguments.seeds)
        print("border", way, report["border"][way], flush=True)
    for arm, entries in by_arm.items():
        configs = [entry["params"] for entry in entries]
        curves = np.array([entry["neg_elbos"] for entry in entries])
        for trials in (24, 40, 64):
            found = good_sets(configs, curves, trials=trials, orders=arguments.orders)
            report["good"][f"{arm} warm-up, {trials} trials"] = found
            print(f"good set, {arm} warm-up, {trials} trials", found, flush=True)
        finals = np.array([[entry["neg_elbos"][-1] for entry in of] for of in (entries, others[arm])]).mean(axis=0)
        report["importances"][f"{arm} warm-up"] = importances(configs, curves, finals, orders=10)
        print(f"importances, {arm} warm-up", report["importances"][f"{arm} warm-up"], flush=True)
    report["good"]["mean"] = {
        way: {name: statistics.mean(of[way][name] for of in report["good"].values()) for name in values}
        for way, values in found.items()
    }
    print("good set, mean", report["good"]["mean"])
    for way, newest, older in (
        ("before: the newest 500", 500, 0),
        ("after: the newest 250, 250 of the others", sampler_storage.NEWEST, sampler_storage.OLDER),
        ("all trials", 10**6, 0),
    ):
        report["window"][way] = window(max(1, arguments.seeds // 6), newest=newest, older=older)
        print("window", way, report["window"][way], flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report | {"machine": describe_machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
