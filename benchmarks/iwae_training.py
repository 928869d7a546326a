"""The importance-weighted bound in the last epochs beside the ELBO throughout: the same config, seeds and CPU time.

An epoch that trains the bound of K draws costs more than one that trains the ELBO; how much is measured first, and the
number of epochs of each variant follows, so that they have the same CPU seconds, scoring after each epoch included. In
`share of the time` the last 30 % of them are such epochs, in `share of the epochs` the last 30 % of the epochs, as the
parameter's default has it. `as many epochs` does not pay for what it costs: the same number of epochs as the ELBO, the
last 30 % by the other bound. Scored by IWAE-500 on the same judge images, nats per image; test images are not read.

    python benchmarks/iwae_training.py
"""

import argparse
import json
import os
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from judged_runs import cosine_plan, gains_in_words, judged_facts
from machine import describe_machine

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import PRIORS, Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
CONFIG = Config(latent_dim=10, depth=2, width=64, batch_size=32, learning_rate=5e-3, kl_warmup_epochs=10)
LAST = 0.3  # share that trains the bound of several draws
ELBO, OF_TIME, OF_EPOCHS = "ELBO throughout", "share of the time", "share of the epochs"
AS_MANY = "as many epochs"
CALIBRATED = 30  # epochs of each kind that are timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to spend the CPU time."""

    config: Config
    epochs: int


def cost_ratio(trainer: Trainer, config: Config) -> float:
    """CPU time of an epoch that trains the bound of K draws, in epochs that train the ELBO; compiles both."""
    run = trainer.start(replace(config, iwae_from=0.5), cosine_plan(2 * CALIBRATED + 2), seed=0)
    cpu_s = [run.train_epoch().cpu_s for _ in range(2 * CALIBRATED + 2)]
    elbo, weighted = cpu_s[1 : CALIBRATED + 1], cpu_s[CALIBRATED + 2 :]
    return statistics.median(weighted) / statistics.median(elbo)


def variants(config: Config, *, epochs: int, ratio: float) -> dict[str, Variant]:
    """Variants of the CPU time of so many epochs that train the ELBO.

    With a share s of ELBO epochs, one of N epochs costs N (s + (1 - s) ratio).
    """
    by_time = (1 - LAST) * ratio / (LAST + (1 - LAST) * ratio)
    found = {ELBO: Variant(config=replace(config, bound_samples=1), epochs=epochs)}
    for name, share in ((OF_TIME, by_time), (OF_EPOCHS, 1 - LAST)):
        found[name] = Variant(
            config=replace(config, iwae_from=share), epochs=round(epochs / (share + (1 - share) * ratio))
        )
    found[AS_MANY] = Variant(config=replace(config, iwae_from=1 - LAST), epochs=epochs)
    return found


def facts_of(trainer: Trainer, variant: Variant, task: JudgeTask, *, seed: int) -> dict[str, float]:
    """Scores and cost of one training."""
    run = trainer.start(variant.config, cosine_plan(variant.epochs), seed=seed)
    while not run.is_over:
        run.train_epoch()
    return judged_facts(run, task) | {
        "active_units": run.scores().active_units,
        "epochs": run.epoch,
        "elbo_epochs": variant.config.elbo_epochs(variant.epochs),
        "cpu_s": run.costs().cpu_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=130, help="of the ELBO alone")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--prior", choices=PRIORS, nargs="+", default=["standard", "mixture"])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "iwae_training.json")
    arguments = parser.parse_args()
    dataset = load_dataset(DataSpec(source="digits"), cache=Path("none"))
    task, judge_task = TrainingTask.of(dataset), JudgeTask.of(dataset)
    trainer, report = Trainer(task, threads=1), dict[str, Any]()
    for prior in arguments.prior:
        config = replace(CONFIG, prior=prior, prior_components=20, bound_samples=arguments.samples)
        ratio = cost_ratio(trainer, config)
        chosen = variants(config, epochs=arguments.epochs, ratio=ratio)
        print(f"{prior} prior: an epoch of {arguments.samples} draws costs {ratio:.2f} epochs of the ELBO", flush=True)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for name, variant in chosen.items():
                found[name].append(facts_of(trainer, variant, judge_task, seed=seed))
                print(f"{name}, seed {seed}: {json.dumps(found[name][-1])}", flush=True)
        for name, runs in found.items():
            means = {key: statistics.fmean(run[key] for run in runs) for key in runs[0]}
            print(
                f"{prior} prior, {name}: {gains_in_words(runs, found[ELBO])}, -ELBO {means['neg_elbo']:.3f}, "
                f"{means['epochs']:.0f} epochs, {means['elbo_epochs']:.0f} of the ELBO, {means['cpu_s']:.1f} CPU s"
            )
        report[prior] = {"ratio": ratio, "samples": arguments.samples, "runs": found}
    report |= {"judge_images": len(judge_task.images), "machine": describe_machine()}
    arguments.output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
