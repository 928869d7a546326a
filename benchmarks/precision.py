"""Training with products in bfloat16 beside float32: seconds of an epoch, and the bound after as many epochs.

One core, 10,000 images of Fashion-MNIST, batch 128, two hidden layers on either side. Epochs of both precisions are run
in turns and timed in CPU seconds; then both train `--epochs` epochs with the same seeds, and their averaged weights are
scored in float32 on the same 2,000 select images.

    python benchmarks/precision.py
"""

import argparse
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fashion import slice_task
from machine import describe_machine

from vae_search.core.machine import multiplies_bfloat16
from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
BATCH, REPEATS = 128, 7
PRECISIONS = ("float32", "bfloat16")
CONFIGS = {
    "mlp 256": Config(latent_dim=32, depth=2, width=256, batch_size=BATCH, activation="gelu"),
    "mlp 512": Config(latent_dim=32, depth=2, width=512, batch_size=BATCH, activation="gelu"),
    "conv 16": Config(architecture="conv", latent_dim=32, depth=2, width=16, batch_size=BATCH, activation="gelu"),
}


def epoch_seconds(trainer: Trainer, config: Config, plans: dict[str, TrainingPlan]) -> dict[str, float]:
    """Median CPU seconds of an epoch by precision, in turns; the tracing is left out."""
    graphs = {name: trainer.start(config, plan, seed=1)._graph for name, plan in plans.items()}
    found: dict[str, list[float]] = {name: [] for name in graphs}
    for epoch in range(REPEATS + 1):
        for name, graph in graphs.items():
            started = time.process_time()
            graph.train_epoch(1, epoch)
            found[name].append(time.process_time() - started)
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def bounds(trainer: Trainer, config: Config, plans: dict[str, TrainingPlan], seeds: int) -> dict[str, list[float]]:
    """-ELBO of the last epoch on the select images by precision, one for each seed."""
    found: dict[str, list[float]] = {name: [] for name in plans}
    for seed in range(seeds):
        for name, plan in plans.items():
            run = trainer.start(config, plan, seed=seed)
            for _ in range(plan.epochs):
                last = run.train_epoch()
            found[name].append(last.neg_elbo)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "precision.json")
    arguments = parser.parse_args()
    plan = TrainingPlan(
        epochs=arguments.epochs,
        lr_schedule="cosine",
        ema_decay=0.999,
        log_variance_clamp=(-6.0, 2.0),
        likelihood="bernoulli",
    )
    plans = {name: replace(plan, precision=name) for name in PRECISIONS}
    trainer = Trainer(slice_task(), threads=1)
    report: dict[str, Any] = {"multiplies_bfloat16": multiplies_bfloat16(), "epochs": arguments.epochs}
    for name, config in CONFIGS.items():
        times = epoch_seconds(trainer, config, plans)
        scores = bounds(trainer, config, plans, arguments.seeds)
        ratio = times["float32"] / times["bfloat16"]
        apart = [b - a for a, b in zip(scores["float32"], scores["bfloat16"], strict=True)]
        report[name] = {"epoch_cpu_s": times, "ratio": ratio, "neg_elbo": scores}
        print(
            f"{name}: float32 / bfloat16 {ratio:.2f} ({times['float32']:.2f} s an epoch); -ELBO of {arguments.epochs} "
            f"epochs {statistics.fmean(scores['float32']):.2f}, in bfloat16 {statistics.fmean(apart):+.2f} "
            f"({', '.join(f'{each:+.2f}' for each in apart)})",
            flush=True,
        )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report | {"machine": describe_machine()}) + "\n")


if __name__ == "__main__":
    main()
