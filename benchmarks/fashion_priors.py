"""Learned priors, KL warm-up, several draws and mirrored images on Fashion-MNIST: one config, one change at a time.

Each variant is one training of the last config that `search_spaces/fashion_mlp.yaml` begins with, with one thread and
one seed. Scored by IWAE-500 on the first 1,000 judge images, nats per image; test images are not looked at. The time is
CPU time of training, scoring of the select images after each epoch included.

    python benchmarks/fashion_priors.py
    python benchmarks/fashion_priors.py --variants standard "mixture of 200"
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from judged_runs import cosine_plan, judged_facts
from machine import describe_machine, fashion_mnist_folder

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config, ParamValue
from vae_search.spec.sections import DataSpec
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
SEED, JUDGED = 1, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A change of the config or of the plan."""

    params: dict[str, ParamValue] = field(default_factory=dict)
    epochs: int = 80
    mirrors: bool = False


MIXTURE, VAMP = {"prior": "mixture", "prior_components": 200}, {"prior": "vamp", "prior_components": 150}
TAIL: dict[str, ParamValue] = {"bound_samples": 8, "iwae_from": 0.7}
VARIANTS = {
    "standard": Variant(),
    "standard, warm-up of 20": Variant(params={"kl_warmup_epochs": 20}),
    "standard, mirrored": Variant(mirrors=True),
    "mixture of 200": Variant(params=MIXTURE),
    "mixture of 200, warm-up of 20": Variant(params={**MIXTURE, "kl_warmup_epochs": 20}),
    "mixture of 500": Variant(params={"prior": "mixture", "prior_components": 500}),
    "vamp of 150": Variant(params=VAMP),
    "vamp of 500": Variant(params={"prior": "vamp", "prior_components": 500}),
    "vamp of 150, 8 draws": Variant(params={**VAMP, **TAIL}, epochs=60),
    "mixture of 200, 8 draws": Variant(params={**MIXTURE, **TAIL}, epochs=174),
}


def config_of(variant: Variant) -> Config:
    """The shared config with the variant's changes."""
    shared: dict[str, ParamValue] = {"latent_dim": 40, "learning_rate": 2e-3, "depth": 2, "width": 512}
    shared |= {"batch_size": 256, "activation": "gelu", "kl_warmup_epochs": 2}
    return Config.from_params({**shared, **variant.params})


def trained(variant: Variant, task: TrainingTask, judge_task: JudgeTask) -> dict[str, float]:
    """Scores and cost of one training."""
    plan = replace(cosine_plan(variant.epochs), lr_schedule="wsd", mirrors=variant.mirrors, is_long=True)
    run, begun_s = Trainer(task, threads=1).start(config_of(variant), plan, seed=SEED), time.process_time()
    for _ in range(variant.epochs):
        run.train_epoch()
    cpu_s, scores = time.process_time() - begun_s, run.scores()
    judged = judged_facts(run, judge_task.first(JUDGED))
    return {
        "epochs": variant.epochs,
        "cpu_s": cpu_s,
        "neg_elbo_select": scores.neg_elbo,
        "neg_elbo_train": scores.train_neg_elbo,
        "neg_elbo_judge": judged["neg_elbo"],
        "neg_iwae_judge": judged["neg_iwae"],
        "active_units": scores.active_units,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "fashion_priors.json")
    arguments = parser.parse_args()
    spec = DataSpec(source=str(fashion_mnist_folder()), binarize="dynamic", validation=10_000)
    dataset = load_dataset(spec, cache=Path("none"))
    task, judge_task, found = TrainingTask.of(dataset), JudgeTask.of(dataset), dict[str, dict[str, float]]()
    for name in arguments.variants:
        found[name] = trained(VARIANTS[name], task, judge_task)
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    arguments.output.write_text(json.dumps({"runs": found, "machine": describe_machine()}) + "\n")


if __name__ == "__main__":
    main()
