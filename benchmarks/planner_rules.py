"""Rules of the planner, replayed on recorded learning curves of two data sets: no training, but for digits' own curves.

Curves: the 64 configs without warm-up of `rung_study.json` (10,000 images of Fashion-MNIST, 27 epochs, two seeds), and
`DIGITS` random configs of handwritten digits, trained here for 81 epochs with two seeds (a few CPU minutes).

configs   A search has a fixed number of epochs to spend. It can try many configs for a few epochs each or few for long;
          rungs at a ninth and a third. Regret: nats by which the chosen config's other seed ends above the best
          config's mean, at the last recorded epoch. Configs are drawn one taken once, and halved synchronously.
share     A fixed number of epochs is divided between a search and three long trainings of its winner. Beyond the last
          recorded epoch a curve goes on by the power law limit + a · epoch^-b that fits its last two thirds best, which
          says nothing of overfitting: shares are compared, and no level is claimed.

    python benchmarks/planner_rules.py
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import TrainingTask
from vae_search.search.planning.plan import expected_epochs
from vae_search.spec.sections import DataSpec

HERE = Path(__file__).parent
DIGITS, DIGITS_EPOCHS, SEEDS = 40, 81, 2
ETA, RESAMPLES = 3, 2000
TRIES = (6, 12, 24, 36, 48)
SHARES = (0.1, 0.2, 0.35, 0.5, 0.7)
SPACE = {
    "architecture": "mlp",
    "latent_dim": {"type": "int", "low": 2, "high": 16, "log": True},
    "beta": {"type": "float", "low": 0.25, "high": 4.0, "log": True},
    "learning_rate": {"type": "float", "low": 3e-4, "high": 1e-2, "log": True},
    "depth": {"type": "int", "low": 1, "high": 3},
    "width": {"type": "categorical", "choices": [32, 64, 128]},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128]},
    "activation": {"type": "categorical", "choices": ["tanh", "relu", "elu", "gelu"]},
}


def digits_task() -> TrainingTask:
    """The built-in handwritten digits."""
    return TrainingTask.of(load_dataset(DataSpec(source="digits"), cache=Path("none")))


def digits_curves() -> np.ndarray:
    """Held-out -ELBO of random configs: (configs, seeds, epochs), nats."""
    from vae_search.core.measurements import Diverged
    from vae_search.search.study.study import SweepStudy
    from vae_search.spec.hyperparameters import Config
    from vae_search.spec.search_space_yaml import read_space
    from vae_search.vae.training.plan import TrainingPlan
    from vae_search.vae.training.trainer import Trainer

    study = SweepStudy(read_space(SPACE), sampler="random", seed=5)
    trainer = Trainer(digits_task(), threads=1)
    plan = TrainingPlan(
        epochs=DIGITS_EPOCHS,
        lr_schedule="constant",
        ema_decay=0.999,
        log_variance_clamp=(-6.0, 2.0),
        likelihood="bernoulli",
    )
    found = np.full((DIGITS, SEEDS, DIGITS_EPOCHS), 1e3)
    for config in range(DIGITS):
        params = study.ask(config)
        for seed in range(SEEDS):
            run = trainer.start(Config.from_params(params), plan, seed=seed)
            try:
                for epoch in range(DIGITS_EPOCHS):
                    found[config, seed, epoch] = run.train_epoch().neg_elbo
            except Diverged:
                continue
    return found


def fashion_curves() -> np.ndarray:
    recorded = json.loads((HERE / "results" / "rung_study.json").read_text())
    curves = [curve["neg_elbos"] for curve in recorded["curves"] if curve["warmup"] == 0]
    return np.array(curves).reshape(recorded["configs"], recorded["seeds"], recorded["epochs"])


def epochs_for(spend: float, tries: int, most: int) -> int:
    """The longest trials that so many configs can have: multiples of nine with two rungs, else of three with one."""
    fits = [1]
    for epochs in range(1, most + 1):
        first = max(1, epochs // 9)
        if tries * expected_epochs(epochs, first if first < epochs else None, ETA) <= spend and epochs % 3 == 0:
            fits.append(epochs)
    return max(fits)


def winner(values: np.ndarray, epochs: int) -> int:
    """The config that a halving ends with: values (configs, epochs) of those that are tried."""
    alive = np.arange(len(values))
    first = max(1, epochs // 9)
    for rung in [rung for rung in (first, ETA * first) if rung < epochs]:
        alive = alive[np.argsort(values[alive, rung - 1], kind="stable")[: max(1, -(-len(alive) // ETA))]]
    return int(alive[np.argmin(values[alive, epochs - 1])])


def long_run(curve: np.ndarray, epochs: float) -> float:
    """Value after so many epochs, by the curve, or by its power law beyond it."""
    if epochs <= len(curve):
        return float(curve[max(0, int(epochs) - 1)])
    known = np.arange(len(curve) // 3, len(curve)) + 1.0
    fits = []
    for exponent in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        basis = np.stack([np.ones_like(known), known**-exponent], axis=1)
        solution, rest, *_ = np.linalg.lstsq(basis, curve[known.astype(int) - 1], rcond=None)
        fits.append((float(rest[0]) if len(rest) else np.inf, exponent, solution))
    _, exponent, (limit, scale) = min(fits, key=lambda fit: fit[0])
    return float(limit + max(scale, 0.0) * epochs**-exponent)


def regrets(curves: np.ndarray, spends: list[float]) -> dict:
    rng, best, last = np.random.default_rng(0), curves.mean(axis=1)[:, -1].min(), curves.shape[2]
    found: dict = {}
    for spend in spends:
        for tries in TRIES:
            epochs = epochs_for(spend, tries, last)
            if tries > len(curves) or tries * expected_epochs(epochs, None, ETA) < 1 or tries > spend:
                continue
            lost = []
            for _ in range(RESAMPLES):
                chosen, seed = rng.choice(len(curves), tries, replace=False), rng.integers(SEEDS)
                config = chosen[winner(curves[chosen, seed], epochs)]
                lost.append(curves[config, 1 - seed, -1] - best)
            found.setdefault(str(spend), {})[str(tries)] = {
                "epochs": epochs,
                "regret": float(np.mean(lost)),
                "standard_error": float(np.std(lost) / np.sqrt(RESAMPLES)),
            }
    return found


def shares(curves: np.ndarray, totals: list[float], *, runs: float) -> dict:
    """Value of the winner's long training, by the share of the epochs that the search had.

    Args:
        runs: long trainings that the rest is divided by: three seeds of which two run at once cost one and a half each.
    """
    rng, last, found = np.random.default_rng(1), curves.shape[2], {}
    for total in totals:
        for share in SHARES:
            spend = share * total
            tries = max([each for each in TRIES if each <= len(curves) and each <= spend / 3] or [TRIES[0]])
            epochs, ended = epochs_for(spend, tries, last), []
            for _ in range(RESAMPLES // 4):
                chosen, seed = rng.choice(len(curves), tries, replace=False), rng.integers(SEEDS)
                config = chosen[winner(curves[chosen, seed], epochs)]
                ended.append(long_run(curves[config, 1 - seed], (1 - share) * total / runs))
            found.setdefault(str(total), {})[str(share)] = {
                "tries": tries,
                "epochs": epochs,
                "value": float(np.mean(ended)),
                "standard_error": float(np.std(ended) / np.sqrt(len(ended))),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "planner_rules.json")
    arguments = parser.parse_args()
    report: dict = {"machine": describe_machine()}
    for name, curves in (("fashion", fashion_curves()), ("digits", digits_curves())):
        spends, totals = [60.0, 120.0, 240.0, 480.0], [240.0, 480.0, 960.0, 1920.0]
        report[name] = {"configs": regrets(curves, spends), "share": shares(curves, totals, runs=3.0)}
        for spend, by_tries in report[name]["configs"].items():
            words = ", ".join(f"{tries}×{of['epochs']}: {of['regret']:.2f}" for tries, of in by_tries.items())
            print(f"{name}: {spend} epochs of search, regret in nats by configs × epochs: {words}", flush=True)
        for total, by_share in report[name]["share"].items():
            words = ", ".join(f"{share}: {of['value']:.2f}" for share, of in by_share.items())
            print(f"{name}: {total} epochs in all, value of a seed by share of the search: {words}", flush=True)
    arguments.output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
