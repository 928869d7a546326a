"""Rank correlation of early and final epochs, to choose the first rung. With and without KL warm-up.

64 random configs, each trained twice (two seeds) to the end without pruning, on 10,000 images of Fashion-MNIST; once
without warm-up, once with a warm-up of 1 to 9 epochs, drawn for each config as a search would. For every epoch at which
a rung could stand:

tau       Kendall's tau between the values at the rung and at the end, among the better half of the configs
recall    share of the final best third that is in the rung's best third
regret    nats that the rung's best config ends above the best of all: what is lost if it alone went on

A config's final value is the mean of its two seeds; a rung sees one seed. Intervals (95 %) are from resampled configs,
each drawn one taken once.

    python benchmarks/rung_study.py
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion import SPACE, slice_task
from machine import describe_machine
from scipy.stats import kendalltau

from vae_search.core.measurements import Diverged
from vae_search.search.study.study import SweepStudy
from vae_search.spec.hyperparameters import Config
from vae_search.spec.search_space_yaml import read_space
from vae_search.vae.training.plan import TrainingPlan

HERE = Path(__file__).parent
CONFIGS, SEEDS, EPOCHS = 64, 2, 27
LONGEST_WARMUP = 9
RUNGS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 15, 18, 21, 24)
RESAMPLES = 1000
WORST = 1e4  # stands for a diverged run; only its rank is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training: the held-out value after each epoch, and what the epochs cost."""

    params: dict
    warmup: int
    seed: int
    neg_elbos: list[float]
    cpu_s: float


def chosen_configs() -> list[dict]:
    """The same random configs in every run."""
    study = SweepStudy(read_space(SPACE), sampler="random", seed=5)
    return [study.ask(number) for number in range(CONFIGS)]


_trainer = None


def train(params: dict, warmup: int, seed: int) -> Curve:
    """One config to the end, in a process of its own kind: one thread, one data set."""
    global _trainer
    from vae_search.vae.training.trainer import Trainer

    _trainer = _trainer or Trainer(slice_task(), threads=1)
    plan = TrainingPlan(
        epochs=EPOCHS,
        lr_schedule="constant",
        ema_decay=0.999,
        log_variance_clamp=(-6.0, 2.0),
        likelihood="bernoulli",
    )
    started_s = time.process_time()
    run = _trainer.start(Config.from_params(params | {"kl_warmup_epochs": warmup}), plan, seed=seed)
    values = []
    try:
        for _ in range(EPOCHS):
            values.append(run.train_epoch().neg_elbo)
    except Diverged:
        values += [WORST] * (EPOCHS - len(values))
    return Curve(params=params, warmup=warmup, seed=seed, neg_elbos=values, cpu_s=time.process_time() - started_s)


def measures(at_rung: np.ndarray, final: np.ndarray) -> tuple[float, float, float]:
    """Tau among the better half, recall of the best third, regret of the best: (n,) and (n,), nats."""
    half, third = len(final) // 2, len(final) // 3
    better = np.argsort(final)[:half]
    kept = np.argsort(at_rung)[:third]
    recall = len({*kept} & {*np.argsort(final)[:third]}) / third
    return float(kendalltau(at_rung[better], final[better])[0]), recall, float(final[np.argmin(at_rung)] - final.min())


def study_arm(curves: np.ndarray) -> list[dict]:
    """Curves (configs, seeds, epochs) -> one entry per rung, each measure with its interval."""
    rng = np.random.default_rng(0)
    final = curves[:, :, -1].mean(axis=1)
    found = []
    for rung in RUNGS:
        values = {"tau": [], "recall": [], "regret": []}
        for resample in range(RESAMPLES + 1):
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


def train_all(processes: int) -> list[Curve]:
    """All trainings: by config, then without and with warm-up, then by seed."""
    warmups = np.random.default_rng(6).integers(1, LONGEST_WARMUP + 1, CONFIGS).tolist()
    jobs = [
        (params, warmup, 1000 * number + seed)
        for number, params in enumerate(chosen_configs())
        for warmup in (0, warmups[number])
        for seed in range(SEEDS)
    ]
    curves = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for curve in pool.map(train, *zip(*jobs, strict=True)):
            curves.append(curve)
            if len(curves) % 16 == 0:
                print(f"{len(curves)} of {len(jobs)} trainings done", flush=True)
    return curves


def read_curves(path: Path) -> list[Curve]:
    return [Curve(**fields) for fields in json.loads(path.read_text())["curves"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "rung_study.json")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", type=Path, help="judge the curves of an earlier result instead of training")
    arguments = parser.parse_args()
    curves = train_all(arguments.processes) if arguments.again is None else read_curves(arguments.again)
    values = np.array([curve.neg_elbos for curve in curves]).reshape(CONFIGS, 2, SEEDS, EPOCHS)
    arms = {"without": study_arm(values[:, 0]), "with": study_arm(values[:, 1])}
    for name, rungs in arms.items():
        print(f"\n{name} warm-up\nepoch  tau among the better half  recall of the best third  regret, nats")
        for entry in rungs:
            cells = (
                f"{entry[m]['value']:5.2f} [{entry[m]['low']:5.2f}, {entry[m]['high']:5.2f}]"
                for m in ("tau", "recall", "regret")
            )
            print(f"{entry['epoch']:5d}  " + "       ".join(cells))
    report = {
        "configs": CONFIGS,
        "seeds": SEEDS,
        "epochs": EPOCHS,
        "arms": arms,
        "final": {name: np.sort(values[:, arm, :, -1].mean(axis=1)).round(3).tolist() for arm, name in enumerate(arms)},
        "curves": [
            {"params": curve.params, "warmup": curve.warmup, "seed": curve.seed, "cpu_s": round(curve.cpu_s, 2)}
            | {"neg_elbos": [round(value, 3) for value in curve.neg_elbos]}
            for curve in curves
        ],
        "machine": describe_machine(),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
