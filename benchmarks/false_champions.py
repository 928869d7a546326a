"""False promotions of a config over an equal one: the package's champion test beside two rules in common use.

24 seeds of one config, trained to the end on 10,000 images of Fashion-MNIST and judged by IWAE-500 on 2,000 others.
Every contest draws two disjoint groups of 3 (and of 5) seeds, calls one the champion and the other the candidate, and
asks each rule. All groups are equals, so every promotion is a false one.

contest        as `vae_search.registry.promotion.champion_test` decides the first contest of a champion
lower number   the candidate's first seed has a lower mean than the champion's first seed
best of group  the best seed of each group; promoted if the interval of their paired differences over images is above 0

Upper limits (97.5 %) are from resampled seeds: of a resample each seed is taken once, so that groups stay disjoint.
Power: the same draws with the candidate's bounds improved by a gap of so many nats on every image.

None of these groups was chosen, and each meets the other once. What selection, repeated challenges and added seeds do
is simulated with the spread of seeds that was measured: `contest_lives.py`.

    python benchmarks/false_champions.py             # trains, about ten minutes on two cores
    python benchmarks/false_champions.py --again     # the statistics only
    python benchmarks/false_champions.py --simulate  # the simulation only, or the studies of it that are named
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from contest_lives import simulate
from fashion import judge_images, slice_task
from machine import describe_machine

from vae_search.core.image_bounds import ImageBounds
from vae_search.data.pixel_statistics import BINARY
from vae_search.registry.promotion.champion_test import champion_test, mean_interval
from vae_search.registry.promotion.evidence import Evidence
from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.plan import TrainingPlan

HERE = Path(__file__).parent
SEEDS, EPOCHS, IMAGES, SAMPLES = 24, 27, 2_000, 500
PARAMS = {"latent_dim": 24, "learning_rate": 1e-3, "depth": 2, "width": 128, "batch_size": 128, "kl_warmup_epochs": 2}
GROUPS = (3, 5)
GAPS_NATS = (0.1, 0.25, 0.5, 1.0)
CONTESTS, RESAMPLES, CONTESTS_OF_A_RESAMPLE = 2_000, 200, 500
ARRAYS = ("distortion", "rate", "iwae", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One training of the config.

    Args:
        select: its mean negative ELBO on the select images; by it a group's artifact is chosen, as for a candidate.
    """

    bounds: ImageBounds
    select: float


Rule = Callable[[Sequence[Seed], Sequence[Seed]], bool]

_trainer = None


def train(seed: int) -> Seed:
    """One seed to the end, in a process of its own kind: one thread, one data set."""
    global _trainer
    from vae_search.data.tasks import JudgeTask
    from vae_search.vae.inference.scoring import judge
    from vae_search.vae.networks.model_config import ModelDescription
    from vae_search.vae.training.trainer import Trainer

    _trainer = _trainer or Trainer(slice_task(), threads=1)
    plan = TrainingPlan(
        epochs=EPOCHS, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )
    run = _trainer.start(Config.from_params(PARAMS), plan, seed=seed)
    for _ in range(EPOCHS):
        measured = run.train_epoch()
    description = ModelDescription(network=run.network_spec, levels=BINARY, clamp=plan.log_variance_clamp)
    task = JudgeTask(images=judge_images(IMAGES), pixels=slice_task().pixels)
    found = judge(run.averaged_weights(), description, task, iwae_samples=SAMPLES)
    arrays = {name: getattr(found, name) for name in ARRAYS}
    return Seed(bounds=ImageBounds(**arrays, iwae_k=found.iwae_k), select=measured.neg_elbo)


def train_all(processes: int) -> list[Seed]:
    seeds = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for seed in pool.map(train, range(SEEDS)):
            seeds.append(seed)
            print(f"{len(seeds)} of {SEEDS} seeds done: {-seed.bounds.iwae.mean():.3f} nats", flush=True)
    return seeds


def save(seeds: Sequence[Seed], path: Path) -> None:
    arrays = {name: np.stack([getattr(seed.bounds, name) for seed in seeds]) for name in ARRAYS}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, select=[seed.select for seed in seeds], iwae_k=seeds[0].bounds.iwae_k, **arrays)


def read(path: Path) -> list[Seed]:
    with np.load(path, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in (*ARRAYS, "select")}
        iwae_k = int(kept["iwae_k"])
    return [
        Seed(
            bounds=ImageBounds(**{name: arrays[name][row] for name in ARRAYS}, iwae_k=iwae_k),
            select=float(arrays["select"][row]),
        )
        for row in range(len(arrays["select"]))
    ]


def by_contest(candidate: Sequence[Seed], champion: Sequence[Seed]) -> bool:
    sides = [
        Evidence(
            comparability_key="same",
            bounds={number: seed.bounds for number, seed in enumerate(side)},
            artifact_seed=min(range(len(side)), key=lambda number: side[number].select),
        )
        for side in (candidate, champion)
    ]
    return champion_test(*sides).won


def by_lower_number(candidate: Sequence[Seed], champion: Sequence[Seed]) -> bool:
    return bool(candidate[0].bounds.iwae.mean() > champion[0].bounds.iwae.mean())


def by_best_of_group(candidate: Sequence[Seed], champion: Sequence[Seed]) -> bool:
    best = [max((seed.bounds.iwae for seed in side), key=np.mean) for side in (candidate, champion)]
    return mean_interval(best[0] - best[1]).low > 0


RULES: dict[str, Rule] = {
    "contest": by_contest,
    "lower number": by_lower_number,
    "best of group": by_best_of_group,
}


def promoted(
    rng: np.random.Generator, seeds: Sequence[Seed], *, group: int, contests: int, gap: float = 0.0
) -> dict[str, float]:
    """By rule, the share of contests in which a candidate that is better by `gap` nats is promoted."""
    better = [replace(seed, bounds=replace(seed.bounds, iwae=seed.bounds.iwae + gap)) for seed in seeds]
    counts = dict.fromkeys(RULES, 0)
    for _ in range(contests):
        drawn = rng.permutation(len(seeds))[: 2 * group]
        candidate, champion = [better[n] for n in drawn[:group]], [seeds[n] for n in drawn[group:]]
        for name, rule in RULES.items():
            counts[name] += rule(candidate, champion)
    return {name: count / contests for name, count in counts.items()}


def false_promotions(seeds: Sequence[Seed], *, group: int) -> dict[str, dict[str, float]]:
    """By rule, the rate and the upper end of its 95 % interval."""
    rng = np.random.default_rng(group)
    rates = promoted(rng, seeds, group=group, contests=CONTESTS)
    resampled = []
    while len(resampled) < RESAMPLES:
        chosen = np.unique(rng.integers(0, len(seeds), len(seeds)))
        if len(chosen) >= 2 * group:
            of = [seeds[n] for n in chosen]
            resampled.append(promoted(rng, of, group=group, contests=CONTESTS_OF_A_RESAMPLE))
    return {
        name: {"rate": rate, "upper": float(np.quantile([of[name] for of in resampled], 0.975))}
        for name, rate in rates.items()
    }


def power(seeds: Sequence[Seed], *, group: int) -> dict[str, dict[str, float]]:
    """By gap in nats and by rule, how often the better config is promoted."""
    rng = np.random.default_rng(100 + group)
    return {str(gap): promoted(rng, seeds, group=group, contests=CONTESTS, gap=gap) for gap in GAPS_NATS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "false_champions.json")
    parser.add_argument("--cache", type=Path, default=HERE / "results" / "false_champions.npz")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="take the bounds of the cache instead of training")
    parser.add_argument("--simulate", nargs="*", metavar="STUDY", help="leave the measured figures as they are")
    arguments = parser.parse_args()
    started_s = time.monotonic()
    if arguments.simulate is not None:
        report = json.loads(arguments.output.read_text())
        write_with_simulation(report, arguments.output, only=arguments.simulate)
        return
    if arguments.again:
        seeds = read(arguments.cache)
    else:
        seeds = train_all(arguments.processes)
        save(seeds, arguments.cache)
    trained_s = time.monotonic() - started_s
    means = np.array([-seed.bounds.iwae.mean() for seed in seeds])
    report: dict[str, Any] = {
        "seeds": len(seeds),
        "epochs": EPOCHS,
        "images": len(seeds[0].bounds),
        "iwae_k": seeds[0].bounds.iwae_k,
        "params": PARAMS,
        "mean_neg_iwae": round(float(means.mean()), 3),
        "seed_sd_nats": round(float(means.std(ddof=1)), 4),
        "contests": CONTESTS,
        "groups": {},
        "trained_s": round(trained_s, 1),
        "machine": describe_machine(),
    }
    print(f"\n{len(seeds)} seeds: {means.mean():.2f} nats, standard deviation {means.std(ddof=1):.3f}")
    groups = {}
    for group in GROUPS:
        groups[str(group)] = {
            "false_promotions": false_promotions(seeds, group=group),
            "power": power(seeds, group=group),
        }
        print(f"\n{group} against {group} seeds          " + "  ".join(f"{name:>14}" for name in RULES))
        of = groups[str(group)]["false_promotions"]
        print("equals promoted (upper)   " + "  ".join(f"{r['rate']:6.3f} ({r['upper']:.3f})" for r in of.values()))
        for gap, rates in groups[str(group)]["power"].items():
            print(f"better by {float(gap):4.2f} nats        " + "  ".join(f"{rate:14.3f}" for rate in rates.values()))
    report["groups"] = groups
    write_with_simulation(report, arguments.output)


def write_with_simulation(report: dict[str, Any], path: Path, only: Sequence[str] = ()) -> None:
    """Simulate contests with the spread of seeds that `report` has, and write it with them.

    Args:
        only: these studies; others stay as they are in the report.
    """
    report["simulated"] = report.get("simulated", {}) | simulate(seed_sd=report["seed_sd_nats"], only=only)
    report["simulated_on"] = describe_machine()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
