"""One level of latents beside two, `mlp` and `hvae` or `conv` and `hvae_conv`, with equal CPU time: the same images,
schedule and seeds.

A first run of a few epochs, in turns, tells what an epoch of each config costs; each then gets as many epochs as the
first config's take. Scored by IWAE-500 and -ELBO on the same judge images, nats per image. Test images are not looked
at.

    python benchmarks/families.py
    python benchmarks/families.py --layers conv --source fashion_mnist --train-images 4000 --latents 40
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from judged_runs import cosine_plan, gains_in_words, judged_facts
from machine import describe_machine, fashion_mnist_folder

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
DIGITS = Config(latent_dim=10, depth=2, width=64, batch_size=32, learning_rate=5e-3, kl_warmup_epochs=20)
FASHION = Config(
    latent_dim=40, depth=2, width=256, batch_size=128, learning_rate=2e-3, kl_warmup_epochs=2, activation="gated"
)
DIGITS_CONV, FASHION_CONV = (replace(base, width=16, activation="gelu") for base in (DIGITS, FASHION))
BASES = {
    ("dense", "digits"): DIGITS,
    ("dense", "fashion_mnist"): FASHION,
    ("conv", "digits"): DIGITS_CONV,
    ("conv", "fashion_mnist"): FASHION_CONV,
}
FAMILIES = {"dense": (("mlp", 2), ("hvae", 1), ("hvae", 2)), "conv": (("conv", 2), ("hvae_conv", 2))}
"""with their depths; the first has one level of latents"""
TIMED_EPOCHS = 6


def configs(base: Config, layers: str, latents: Sequence[int]) -> dict[str, Config]:
    """One level and two with so many latents in all."""
    return {
        f"{family}, {count} latents, depth {depth}": replace(base, architecture=family, latent_dim=count, depth=depth)
        for family, depth in FAMILIES[layers]
        for count in latents
    }


def epoch_costs(trainer: Trainer, chosen: dict[str, Config]) -> dict[str, float]:
    """Least CPU time of an epoch of each config, scoring included; an epoch of each in turn, the first compiles."""
    trainers = {name: Trainer(trainer.task, threads=1) for name in chosen}
    runs = {name: trainers[name].start(config, cosine_plan(TIMED_EPOCHS), seed=0) for name, config in chosen.items()}
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(TIMED_EPOCHS):
        for name, run in runs.items():
            started = time.process_time()
            run.train_epoch()
            found[name].append(time.process_time() - started)
    return {name: min(times[1:]) for name, times in found.items()}


def trained(trainer: Trainer, config: Config, judge_task: JudgeTask, *, epochs: int, seed: int) -> dict[str, float]:
    """Scores of one training on the judge images."""
    run, started = trainer.start(config, cosine_plan(epochs), seed=seed), time.process_time()
    for _ in range(epochs):
        run.train_epoch()
    spent = time.process_time() - started
    facts = {"active_units": run.scores().active_units, "epochs": epochs, "cpu_s": spent}
    return judged_facts(run, judge_task) | facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=["digits", "fashion_mnist"], default="digits")
    parser.add_argument("--layers", choices=[*FAMILIES], default="dense")
    parser.add_argument("--latents", type=int, nargs="+", help="in all; by default the base's and twice as many")
    parser.add_argument("--train-images", type=int, help="the first ones alone, with a quarter as many select images")
    parser.add_argument("--epochs", type=int, default=130, help="of the first config")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judge-images", type=int, default=None)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "families.json")
    arguments = parser.parse_args()
    base = BASES[arguments.layers, arguments.source]
    source = str(fashion_mnist_folder()) if arguments.source == "fashion_mnist" else arguments.source
    dataset = load_dataset(DataSpec(source=source), cache=Path("none"))
    task, judge_task = TrainingTask.of(dataset), JudgeTask.of(dataset)
    if arguments.judge_images is not None:
        judge_task = judge_task.first(arguments.judge_images)
    if (count := arguments.train_images) is not None:
        task = replace(task, train=task.train[:count], select=task.select[: count // 4])
    trainer = Trainer(task, threads=1)
    chosen = configs(base, arguments.layers, arguments.latents or (base.latent_dim, 2 * base.latent_dim))
    costs = epoch_costs(trainer, chosen)
    reference = next(iter(costs))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for seed in range(arguments.seeds):
        for name, config in chosen.items():
            epochs = max(config.kl_warmup_epochs + 1, round(arguments.epochs * costs[reference] / costs[name]))
            found[name].append(trained(trainer, config, judge_task, epochs=epochs, seed=seed))
            print(f"{name}, seed {seed}: {json.dumps(found[name][-1])}", flush=True)
    for name, runs in found.items():
        means = {key: statistics.fmean(run[key] for run in runs) for key in runs[0]}
        print(
            f"{name}: {gains_in_words(runs, found[reference])}, -ELBO {means['neg_elbo']:.3f}, "
            f"rate {means['rate']:.3f}, {means['epochs']:.0f} epochs, "
            f"{means['cpu_s']:.1f} CPU s, an epoch {costs[name] / costs[reference]:.2f} ×"
        )
    report = {
        "source": arguments.source,
        "configs": {name: asdict(config) for name, config in chosen.items()},
        "train_images": len(task.train),
        "judge_images": len(judge_task.images),
        "runs": found,
        "machine": describe_machine(),
    }
    arguments.output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
