"""Rank correlation of early and final epochs, to choose the first rung. With and without KL warm-up.

Random configs, each trained twice (two seeds) to the end without pruning; once without warm-up, once with a warm-up of
up to a third of the epochs, drawn for each config as a search would. 64 configs on 10,000 images of Fashion-MNIST for
27 epochs (`--data fashion`), or 40 of the space of `planner_rules.py` on the digits for 81 (`--data digits`).
For every epoch at which a rung could stand:

tau       Kendall's tau between the values at the rung and at the end, among the better half of the configs
recall    share of the final best third that is in the rung's best third
regret    nats that the rung's best config ends above the best of all: what is lost if it alone went on

A config's final value is the mean of its two seeds; a rung sees one seed. Intervals (95 %) are from resampled configs,
each drawn one taken once.

    python benchmarks/rung_study.py [--data digits]
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion import SPACE, slice_task
from machine import describe_machine
from planner_rules import DIGITS, DIGITS_EPOCHS, digits_task
from planner_rules import SPACE as DIGITS_SPACE
from scipy.stats import kendalltau

from vae_search.core.measurements import Diverged
from vae_search.data.tasks import TrainingTask
from vae_search.search.study.study import SweepStudy
from vae_search.spec.hyperparameters import Config
from vae_search.spec.search_space_yaml import read_space
from vae_search.vae.training.plan import TrainingPlan

HERE = Path(__file__).parent
CONFIGS, SEEDS, EPOCHS = 64, 2, 27
WARMUP_SHARE = 3  # of the epochs that the longest warm-up takes
RUNGS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 15, 18, 21, 24)
RESAMPLES = 1000
WORST = 1e4  # stands for a diverged run; only its rank is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A data set, the space whose configs are trained on it, and for how long."""

    space: dict
    task: Callable[[], TrainingTask]
    configs: int
    epochs: int
    rungs: tuple[int, ...]
    results: str


STUDIES = {
    "fashion": Study(
        space=SPACE, task=slice_task, configs=CONFIGS, epochs=EPOCHS, rungs=RUNGS, results="rung_study.json"
    ),
    "digits": Study(
        space=DIGITS_SPACE,
        task=digits_task,
        configs=DIGITS,
        epochs=DIGITS_EPOCHS,
        rungs=(1, 2, 3, 4, 5, 6, 7, 9, 12, 15, 18, 21, 27, 36, 45, 54, 63, 72),
        results="rung_study_digits.json",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training: the held-out value after each epoch, and what the epochs cost."""

    params: dict
    warmup: int
    seed: int
    neg_elbos: list[float]
    cpu_s: float


def chosen_configs(space: dict = SPACE, count: int = CONFIGS) -> list[dict]:
    """The same random configs in every run."""
    study = SweepStudy(read_space(space), sampler="random", seed=5)
    return [study.ask(number) for number in range(count)]


_trainer = None


def train(data: str, params: dict, warmup: int, seed: int) -> Curve:
    """One config to the end, in a process of its own kind: one thread, one data set."""
    global _trainer
    from vae_search.vae.training.trainer import Trainer

    _trainer = _trainer or Trainer(STUDIES[data].task(), threads=1)
    epochs = STUDIES[data].epochs
    plan = TrainingPlan(
        epochs=epochs,
        lr_schedule="constant",
        ema_decay=0.999,
        log_variance_clamp=(-6.0, 2.0),
        likelihood="bernoulli",
    )
    started_s = time.process_time()
    run = _trainer.start(Config.from_params(params | {"kl_warmup_epochs": warmup}), plan, seed=seed)
    values = []
    try:
        for _ in range(epochs):
            values.append(run.train_epoch().neg_elbo)
    except Diverged:
        values += [WORST] * (epochs - len(values))
    return Curve(params=params, warmup=warmup, seed=seed, neg_elbos=values, cpu_s=time.process_time() - started_s)


def measures(at_rung: np.ndarray, final: np.ndarray) -> tuple[float, float, float]:
    """Tau among the better half, recall of the best third, regret of the best: (n,) and (n,), nats."""
    half, third = len(final) // 2, len(final) // 3
    better = np.argsort(final)[:half]
    kept = np.argsort(at_rung)[:third]
    recall = len({*kept} & {*np.argsort(final)[:third]}) / third
    return float(kendalltau(at_rung[better], final[better])[0]), recall, float(final[np.argmin(at_rung)] - final.min())


def study_arm(curves: np.ndarray, rungs: Sequence[int] = RUNGS, *, resamples: int = RESAMPLES) -> list[dict]:
    """Curves (configs, seeds, epochs) -> one entry per rung, each measure with its interval."""
    rng = np.random.default_rng(0)
    final = curves[:, :, -1].mean(axis=1)
    found = []
    for rung in rungs:
        values = {"tau": [], "recall": [], "regret": []}
        for resample in range(resamples + 1):
            chosen = np.arange(len(curves)) if resample == 0 else rng.integers(0, len(curves), len(curves))
            if resample:  # a config drawn twice would tie with itself
                chosen = np.unique(chosen)
            per_seed = [measures(curves[chosen, seed, rung - 1], final[chosen]) for seed in range(SEEDS)]
            for name, value in zip(values, np.mean(per_seed, axis=0), strict=True):
                values[name].append(float(value))
        found.append(
            {"epoch": rung}
            | {
                name: {"value": of[0], "low": np.quantile(of[1:], 0.025), "high": np.quantile(of[1:], 0.975)}
                for name, of in values.items()
            }
        )
    return found


def train_all(data: str, processes: int, *, kept: Path) -> list[Curve]:
    """All trainings: by config, then without and with warm-up, then by seed.

    Args:
        kept: file for the curves so far, which `--again` reads if the study is cut short.
    """
    study = STUDIES[data]
    warmups = np.random.default_rng(6).integers(1, study.epochs // WARMUP_SHARE + 1, study.configs).tolist()
    jobs = [
        (data, params, warmup, 1000 * number + seed)
        for number, params in enumerate(chosen_configs(study.space, study.configs))
        for warmup in (0, warmups[number])
        for seed in range(SEEDS)
    ]
    curves = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for curve in pool.map(train, *zip(*jobs, strict=True)):
            curves.append(curve)
            if len(curves) % 16 == 0:
                print(f"{len(curves)} of {len(jobs)} trainings done", flush=True)
                kept.write_text(json.dumps({"curves": plain(curves)}) + "\n")
    return curves


def plain(curves: Sequence[Curve]) -> list[dict]:
    """Curves as they are kept."""
    return [
        {"params": curve.params, "warmup": curve.warmup, "seed": curve.seed, "cpu_s": round(curve.cpu_s, 2)}
        | {"neg_elbos": [round(value, 3) for value in curve.neg_elbos]}
        for curve in curves
    ]


def read_curves(path: Path) -> list[Curve]:
    return [Curve(**fields) for fields in json.loads(path.read_text())["curves"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(STUDIES), default="fashion")
    parser.add_argument("-o", "--output", type=Path, help="of this data set's results in benchmarks/results by default")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", type=Path, help="judge the curves of an earlier result instead of training")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="for the intervals")
    arguments = parser.parse_args()
    study = STUDIES[arguments.data]
    output = arguments.output or HERE / "results" / study.results
    output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.again is None:
        curves = train_all(arguments.data, arguments.processes, kept=output)
    else:
        curves = read_curves(arguments.again)
    values = np.array([curve.neg_elbos for curve in curves]).reshape(-1, 2, SEEDS, study.epochs)
    arms = {
        name: study_arm(values[:, arm], study.rungs, resamples=arguments.resamples)
        for arm, name in enumerate(("without", "with"))
    }
    for name, rungs in arms.items():
        print(f"\n{name} warm-up\nepoch  tau among the better half  recall of the best third  regret, nats")
        for entry in rungs:
            cells = (
                f"{entry[m]['value']:5.2f} [{entry[m]['low']:5.2f}, {entry[m]['high']:5.2f}]"
                for m in ("tau", "recall", "regret")
            )
            print(f"{entry['epoch']:5d}  " + "       ".join(cells))
    report = {
        "data": arguments.data,
        "configs": len(values),
        "seeds": SEEDS,
        "epochs": study.epochs,
        "arms": arms,
        "final": {name: np.sort(values[:, arm, :, -1].mean(axis=1)).round(3).tolist() for arm, name in enumerate(arms)},
        "curves": plain(curves),
        "machine": describe_machine(),
    }
    output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
