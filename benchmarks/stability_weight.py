"""Does a weight on instability choose better configs? Ranking by one seed, judged by what other seeds end at.

A config is ranked by `neg_elbo + weight · instability` of one training; its worth is the mean final neg_elbo of its
trainings with other seeds. Of each weight:

tau     Kendall's tau between ranking and worth, among the better half of the configs by worth
regret  nats by which the config that is ranked first is worse than the best, by worth

Three sets of configs: the stored curves of `rung_study.json` (64 configs × 2 seeds, without and with warm-up; their
learning rates end at 3e-3, so that all are healthy), and 24 configs of the digits × 3 seeds, trained here, whose rates
go from 3e-4 to 1e-1, where many are restless and some diverge. The worth of a config is at most the latent-free
model's bound: whatever is worse is not wanted, whether by ten nats or by a million. Intervals (95 %) are of the
difference in regret to weight 0, from resampled configs.

    python benchmarks/stability_weight.py   # about four minutes of one core
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine
from rung_study import CONFIGS as STUDIED
from rung_study import EPOCHS as STUDIED_EPOCHS
from rung_study import SEEDS as STUDIED_SEEDS
from scipy.stats import kendalltau
from stability_corpus import RECORDED, Training, instability_before, instability_of, trained

from vae_search.spec.hyperparameters import Config

HERE = Path(__file__).parent
WEIGHTS = (0.0, 0.1, 0.3, 1.0, 3.0)
CONFIGS, SEEDS, EPOCHS = 24, 3, 25
STUDY_BASELINE, STUDY_FLOOR = 384.67, 185.6  # of the latent-free model, and of the pixels' binarisation, nats
RESAMPLES = 1000
MEASURES = {"today": instability_of, "before": instability_before}


def chosen_trainings() -> dict[str, Training]:
    """Random configs of the digits, each with several seeds; the same in every run."""
    random = np.random.default_rng(17)
    found = {}
    for number in range(CONFIGS):
        config = Config(
            latent_dim=int(random.choice([4, 8, 16])),
            learning_rate=float(np.exp(random.uniform(np.log(3e-4), np.log(1e-1)))),
            depth=int(random.choice([1, 2, 3])),
            width=int(random.choice([32, 64, 128])),
            batch_size=int(random.choice([16, 32])),
            beta=float(np.exp(random.uniform(np.log(0.5), np.log(2)))),
            activation="elu",
        )
        for seed in range(SEEDS):  # the training's number in this mapping seeds it
            found[f"{number}, seed {seed}"] = Training(task="digits", config=config, epochs=EPOCHS)
    return found


def studied_curves(path: Path, *, warm: bool) -> list[dict]:
    """Curves of the rung study, in order of config and seed: held-out values only, which stand for training's too."""
    stored = json.loads(path.read_text())["curves"]
    chosen = [curve for position, curve in enumerate(stored) if (position // STUDIED_SEEDS) % 2 == warm]
    assert len(chosen) == STUDIED * STUDIED_SEEDS
    assert len(chosen[0]["neg_elbos"]) == STUDIED_EPOCHS
    return [
        {
            "warmup": curve["warmup"],
            "baseline": STUDY_BASELINE,
            "floor": STUDY_FLOOR,
            "curve": {
                "neg_elbo": curve["neg_elbos"],
                "train_neg_elbo": curve["neg_elbos"],
                "spike_excess": [0.0],
                "rate": [10.0],
            },
        }
        for curve in chosen
    ]


def judged(ends: np.ndarray, totals: np.ndarray, worths: np.ndarray, weight: float) -> tuple[float, float]:
    """Tau and regret of a weight, means over the ranking seed; all (configs, seeds), infinite where one diverged."""
    taus = []
    for seed in range(ends.shape[1]):
        worth = worths[:, seed]
        score = ends[:, seed] + (weight * totals[:, seed] if weight else 0.0)
        better = np.argsort(worth)[: len(worth) // 2]
        taus.append(float(kendalltau(score[better], worth[better])[0]))
    return float(np.mean(taus)), regret_of(ends, totals, worths, weight)


def regret_of(ends: np.ndarray, totals: np.ndarray, worths: np.ndarray, weight: float) -> float:
    """Regret alone, of one weight."""
    chosen = np.argmin(ends + (weight * totals if weight else 0.0), axis=0)
    return float(np.mean(worths[chosen, np.arange(ends.shape[1])] - worths.min(axis=0)))


def table(curves: list[dict], *, seeds: int, epochs: int) -> dict[str, list[dict]]:
    """Tau and regret of each weight, with either definition of instability."""
    done = np.array([len(curve["curve"]["neg_elbo"]) == epochs for curve in curves]).reshape(-1, seeds)
    ends = np.array([curve["curve"]["neg_elbo"][-1] for curve in curves]).reshape(-1, seeds)
    ends = np.where(done, ends, np.inf)
    capped = np.minimum(ends, curves[0]["baseline"])
    worths = (capped.sum(axis=1, keepdims=True) - capped) / (seeds - 1)
    random = np.random.default_rng(0)
    samples = [np.unique(random.integers(0, len(ends), len(ends))) for _ in range(RESAMPLES)]
    found: dict[str, list[dict]] = {}
    for name, measure in MEASURES.items():
        totals = np.array([measure(curve) for curve in curves]).reshape(-1, seeds)
        plain = [regret_of(ends[one], totals[one], worths[one], 0.0) for one in samples]
        found[name] = []
        for weight in WEIGHTS:
            tau, regret = judged(ends, totals, worths, weight)
            others = [regret_of(ends[one], totals[one], worths[one], weight) for one in samples]
            low, high = np.quantile(np.subtract(others, plain), [0.025, 0.975])
            found[name].append(
                {"weight": weight, "tau": tau, "regret": regret, "more_regret_low": low, "more_regret_high": high}
            )
            print(f"  {name:7s} {weight:4.1f}   tau {tau:.3f}   regret {regret:.3f}   [{low:+.3f}, {high:+.3f}]")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "stability_weight.json")
    parser.add_argument("--study", type=Path, default=HERE / "results" / "rung_study.json")
    parser.add_argument("--again", action="store_true", help="judge the curves of the stored result")
    arguments = parser.parse_args()
    digits = json.loads(arguments.output.read_text())["curves"] if arguments.again else [*trained(chosen_trainings())]
    for curve in digits:  # what the measures do not look at is not stored
        curve["curve"] = {name: curve["curve"][name] for name in RECORDED[:4]}
    report: dict[str, object] = {"arms": {}, "curves": digits, "machine": describe_machine()}
    arguments.output.write_text(json.dumps(report, separators=(",", ":")) + "\n")
    for name, curves, seeds, epochs in (
        ("rung study, without warm-up", studied_curves(arguments.study, warm=False), STUDIED_SEEDS, STUDIED_EPOCHS),
        ("rung study, with warm-up", studied_curves(arguments.study, warm=True), STUDIED_SEEDS, STUDIED_EPOCHS),
        ("digits, rates up to 0.1", digits, SEEDS, EPOCHS),
    ):
        print(name)
        report["arms"][name] = table(curves, seeds=seeds, epochs=epochs)
    arguments.output.write_text(json.dumps(report, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
