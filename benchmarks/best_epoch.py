"""Weights of the best epoch against those of the last one, and epochs that patience saves, where images are few.

Two data sets: patches of two photographs (`photo_patches`, discretised logistic), and a folder of 500 PNG pictures of
Fashion-MNIST, others for each seed. One config for each, trained to the limit with several seeds. Chosen is on the
select images, judged on the judge images, which the choice never sees: -ELBO and -IWAE of the averages of the last
epoch, of the best one, and of the best at the epoch where each patience would have ended the training. Nats per image;
a difference is taken seed by seed, its error is that of the mean over seeds.

    python benchmarks/best_epoch.py
"""

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine, fashion_mnist_folder
from PIL import Image

from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.sources import read_source
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
SEEDS, PATIENCES, SAMPLES = 4, (3, 5, 10, 20), 50
PICTURES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One data set, and how it is trained."""

    name: str
    datasets: Sequence[Dataset]
    """one for each seed"""
    config: Config
    plan: TrainingPlan


def cases(folder: Path) -> list[Case]:
    """Both data sets; `folder` is an empty one for the pictures, of which each seed has others."""
    grey = read_source(str(fashion_mnist_folder()), cache=Path("none")).train.pixels[: PICTURES * SEEDS, ..., 0]
    for number, picture in enumerate(grey):
        own = folder / f"seed-{number // PICTURES + 1}"
        own.mkdir(exist_ok=True)
        Image.fromarray(picture).save(own / f"{number:04d}.png")
    patches = load_dataset(DataSpec(source="photo_patches", binarize="none"), cache=Path("none"))
    plan = TrainingPlan(
        epochs=400, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-10.0, 2.0), likelihood="bernoulli"
    )
    return [
        Case(
            name="photo patches",
            datasets=[patches] * SEEDS,
            config=Config(latent_dim=32, learning_rate=1e-3, depth=2, width=128, batch_size=64, activation="gelu"),
            plan=replace(plan, epochs=40, likelihood="discretized_logistic"),
        ),
        Case(
            name="500 pictures",
            datasets=[load_dataset(DataSpec(source=str(own)), cache=Path("none")) for own in sorted(folder.iterdir())],
            config=Config(latent_dim=16, learning_rate=1e-3, depth=2, width=128, batch_size=32, activation="gelu"),
            plan=replace(plan, log_variance_clamp=(-6.0, 2.0)),
        ),
    ]


def train(case: Case, trainer: Trainer, images: JudgeTask, seed: int) -> dict[str, object]:
    """One seed to the limit, with what each patience would have kept."""
    run = trainer.start(case.config, case.plan, seed=seed)
    rules = {patience: replace(case.plan, patience=patience).stopping_rule(case.config) for patience in PATIENCES}
    kept: dict[str, tuple[int, int, dict[str, np.ndarray]]] = {}
    started_s = time.process_time()
    while not run.is_over:
        run.train_epoch()
        for patience, rule in rules.items():
            if f"patience {patience}" not in kept and rule.ends_at(run.epoch, best_epoch=run.best_epoch):
                kept[f"patience {patience}"] = (run.epoch, run.best_epoch, run.averaged_weights())
    cpu_s = time.process_time() - started_s
    last = {name: average.numpy() for name, average in zip(run.averaged_weights(), run._graph.averages, strict=True)}
    kept |= {"last": (run.epoch, run.epoch, last), "best": (run.epoch, run.best_epoch, run.averaged_weights())}
    description = ModelDescription(
        network=run.network_spec, levels=trainer.task.pixels.levels, clamp=case.plan.log_variance_clamp
    )
    judged, bounds_of = {}, {}
    for name, (epochs, chosen, weights) in kept.items():
        if chosen not in bounds_of:
            bounds_of[chosen] = judge(weights, description, images, iwae_samples=SAMPLES)
        bounds = bounds_of[chosen]
        judged[name] = {
            "epochs": epochs,
            "chosen_epoch": chosen,
            "select_neg_elbo": run.measurements[chosen - 1].neg_elbo,
            "judge_neg_elbo": float(np.mean(bounds.distortion + bounds.rate)),
            "judge_neg_iwae": -float(np.mean(bounds.iwae)),
        }
    return {"seed": seed, "cpu_s": cpu_s, "kept": judged, "curve": [m.neg_elbo for m in run.measurements]}


def summary(runs: list[dict], name: str) -> Mapping[str, float]:
    """What a rule keeps, minus what the last epoch has: mean over seeds, and the mean's standard error."""
    found: dict[str, float] = {"epochs": float(np.mean([run["kept"][name]["epochs"] for run in runs]))}
    for measure in ("select_neg_elbo", "judge_neg_elbo", "judge_neg_iwae"):
        values = np.array([run["kept"][name][measure] for run in runs])
        gains = values - [run["kept"]["last"][measure] for run in runs]
        found |= {measure: float(values.mean()), f"{measure}_minus_last": float(gains.mean())}
        found[f"{measure}_error"] = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return found


def measured(case: Case) -> dict:
    """All seeds of one case, and what each rule keeps on average."""
    runs = []
    for seed, dataset in enumerate(case.datasets, start=1):
        images = JudgeTask.of(dataset)
        trainer = Trainer(TrainingTask.of(dataset), threads=1)
        runs.append(train(case, trainer, images, seed))
        print(case.name, f"seed {seed}: {runs[-1]['cpu_s']:.0f} CPU s", flush=True)
    task = trainer.task
    return {
        "images": {"train": len(task.train), "select": len(task.select), "judge": len(images.images)},
        "limit": case.plan.epochs,
        "rules": {name: summary(runs, name) for name in runs[0]["kept"]},
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "best_epoch.json")
    parser.add_argument("--only", help="one of the cases; the others keep the results that they have")
    given = parser.parse_args()
    results = json.loads(given.output.read_text())["cases"] if given.only and given.output.exists() else {}
    with TemporaryDirectory() as folder:
        for case in cases(Path(folder)):
            if given.only not in (None, case.name):
                continue
            results[case.name] = measured(case)
            for name, of in results[case.name]["rules"].items():
                print(f"{case.name}, {name}: {of}", flush=True)
            facts = {"samples": SAMPLES, "cases": results, "machine": describe_machine()}
            given.output.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
