"""Gradient clipping relative to a running norm, on digits: one that follows what was clipped, and the winsorised one.

Before, the running norm followed min(norm, grad_clip · running), its own clip; now it follows min(norm, 2 · running).
Both are the same program with another constant. For each limit, over three seeds: the held-out bound after 40 epochs,
the best epoch's, the running norm that is left in the end, and the share of steps clipped in the last epoch.

    python benchmarks/clipping.py
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
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.training import optimizer
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
EPOCHS, SEEDS = 40, (1, 2, 3)
CLIPS = (0.0, 0.5, 0.9, 1.0, 2.0, 5.0)
PLAN = TrainingPlan(
    epochs=EPOCHS, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
)


def train(task: TrainingTask, grad_clip: float) -> dict[str, float]:
    """Means over the seeds; the graph is built with the constant that stands in `optimizer` now."""
    trainer, found = Trainer(task, threads=1), []
    config = Config(
        latent_dim=8, learning_rate=5e-3, depth=2, width=64, batch_size=16, activation="elu", grad_clip=grad_clip
    )
    for seed in SEEDS:
        run = trainer.start(config, PLAN, seed=seed)
        epochs = [run.train_epoch() for _ in range(EPOCHS)]
        running = float(run.state()["running_norm"])
        bounds = [epoch.neg_elbo for epoch in epochs]
        found.append((bounds[-1], min(bounds), running, epochs[-1].clip_share))
    names = ("neg_elbo", "best_neg_elbo", "running_norm", "clip_share")
    return {name: float(value) for name, value in zip(names, np.mean(found, axis=0), strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "clipping.json")
    output = parser.parse_args().output
    task = TrainingTask.of(load_dataset(DataSpec(source="digits"), cache=Path("none")))
    results, limit_now = [], optimizer.NORM_LIMIT
    for grad_clip in CLIPS:
        for rule, limit in (("its own clip", grad_clip), ("winsorised", limit_now)):
            optimizer.NORM_LIMIT = limit
            results.append({"grad_clip": grad_clip, "follows": rule} | train(task, grad_clip))
            print(results[-1], flush=True)
            if grad_clip == 0:  # nothing is clipped
                break
    output.write_text(
        json.dumps({"epochs": EPOCHS, "seeds": len(SEEDS), "runs": results, "machine": describe_machine()}, indent=1)
    )


if __name__ == "__main__":
    main()
