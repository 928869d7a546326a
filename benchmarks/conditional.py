"""A model that sees the label of an image beside one that does not: the same config, seeds and epochs on Fashion-MNIST.

Scored by IWAE-500 on the same judge images, binarised once with the same seed: -log p(x|y) and -log p(x), nats per
image. Under one joint model a label is worth log p(y|x) - log p(y), here log 10 = 2.30 nats at most; two models that
are trained apart may differ by more, or less. Samples of the first seed's conditional model are drawn with a row for
each class. Test images are not looked at.

    python benchmarks/conditional.py
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine, fashion_mnist_folder

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.inference.image_grids import sheet_png
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
CONFIG = Config(latent_dim=40, depth=2, width=384, batch_size=256, learning_rate=2e-3, activation="gelu")
KINDS = {"unconditional": None, "conditional": "label"}
COLUMNS, IMAGES = 10, 1000


def trained(kind: str, seed: int, *, epochs: int) -> tuple[dict[str, Any], VaeModel]:
    """Scores and costs of one training, and its model."""
    spec = DataSpec(source=str(fashion_mnist_folder()), validation=10_000, condition=KINDS[kind])
    dataset = load_dataset(spec, cache=Path("none"))
    plan = TrainingPlan(
        epochs=epochs,
        lr_schedule="cosine",
        ema_decay=0.999,
        log_variance_clamp=(-6.0, 2.0),
        likelihood="bernoulli",
    )
    trainer = Trainer(TrainingTask.of(dataset), threads=1)
    started, run = time.process_time(), trainer.start(CONFIG, plan, seed=seed)
    while not run.is_over:
        last = run.train_epoch()
    used_s = time.process_time() - started
    some = JudgeTask.of(dataset).first(IMAGES)
    description = ModelDescription(network=run.network_spec, levels=2, clamp=plan.log_variance_clamp)
    judged = judge(run.averaged_weights(), description, some)
    facts = {"neg_iwae": -float(judged.iwae.mean()), "neg_elbo_select": last.neg_elbo, "rate": last.rate}
    return facts | {"cpu_s": used_s}, VaeModel(description, run.averaged_weights())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "conditional.json")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for seed in range(arguments.seeds):
        for kind in KINDS:
            facts, model = trained(kind, seed, epochs=arguments.epochs)
            found[kind].append(facts)
            print(f"{kind}, seed {seed}: {json.dumps(facts)}", flush=True)
            if model.classes and seed == 0:
                sheet = sheet_png(model.sample_classes(COLUMNS, seed=0))
                arguments.output.with_suffix(".png").write_bytes(sheet)
    gains = [
        without["neg_iwae"] - given["neg_iwae"]
        for without, given in zip(found["unconditional"], found["conditional"], strict=True)
    ]
    cost = [statistics.median(each["cpu_s"] for each in found[kind]) for kind in ("conditional", "unconditional")]
    print(
        f"-log p(x|y) is lower by {statistics.fmean(gains):.2f} nats ({', '.join(f'{each:.2f}' for each in gains)}); "
        f"log 10 is {np.log(10):.2f}; CPU time {cost[0] / cost[1]:.2f} ×"
    )
    report = {"epochs": arguments.epochs, "gains_nats": gains, "cpu_ratio": cost[0] / cost[1], "runs": found}
    arguments.output.write_text(json.dumps(report | {"machine": describe_machine()}) + "\n")


if __name__ == "__main__":
    main()
