"""Resident memory of one worker after 6, 20, 40 and 60 trials, each of another architecture.

TensorFlow gives graphs back late and in part; a worker keeps four compiled architectures and drops the oldest.

    python benchmarks/worker_memory.py
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine

from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import BINARY, PixelStatistics
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
POINTS = (6, 20, 40, 60)


def resident_bytes() -> int:
    """Resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "worker_memory.json")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12_000, 28, 28, 1)).astype(np.uint8)
    task = TrainingTask(
        train=images[:10_000],
        select=(images[10_000:] > 127).astype(np.uint8),
        scale=255.0,
        dynamic=True,
        floor=0.0,
        pixels=PixelStatistics.of(Images(pixels=images, scale=255.0), levels=BINARY),
    )
    trainer = Trainer(task, threads=1)
    plan = TrainingPlan(
        epochs=2, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )
    found: dict[int, int] = {}
    for trial in range(1, max(POINTS) + 1):
        config = Config(
            latent_dim=int(rng.integers(8, 64)),
            depth=int(rng.integers(1, 4)),
            width=int(rng.choice([128, 256, 512])),
            batch_size=int(rng.choice([64, 128, 256])),
        )
        run = trainer.start(config, plan, seed=trial)
        run.train_epoch()
        run.train_epoch()
        run.scores()
        if trial in POINTS:
            found[trial] = resident_bytes()
            print(f"after {trial:2d} trials: {found[trial] / 1e6:7.0f} MB", flush=True)
    ratio = found[60] / found[6]
    print(f"60 against 6: {ratio:.2f}")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    report = {"resident_bytes": found, "ratio_60_to_6": ratio, "machine": describe_machine()}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
