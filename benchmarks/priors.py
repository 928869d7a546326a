"""Learned and fitted priors beside the standard one: the same config, seeds and steps on digits.

Scored by IWAE-500 and by the bound of many draws on the same judge images, nats per image; a step's cost is CPU time of
training alone, in turns, so that other work of the machine meets all alike. Test images are not looked at.

    python benchmarks/priors.py
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

from judged_runs import cosine_plan, description_of, gains_in_words, judged_facts
from machine import describe_machine

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import PRIORS, Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.inference.ex_post.fitted_prior import fit_prior
from vae_search.vae.inference.scoring import judge
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer
from vae_search.vae.training.training_run import TrainingRun

HERE = Path(__file__).parent
CONFIG = Config(latent_dim=10, depth=2, width=64, batch_size=32, learning_rate=5e-3, kl_warmup_epochs=20)
COMPONENTS = (20, 100)


def configs(components: tuple[int, ...]) -> dict[str, Config]:
    """The standard prior, and each learned one with each number of components, by name."""
    learned = {
        f"{prior}, {count}": replace(CONFIG, prior=prior, prior_components=count)
        for prior in PRIORS[1:]
        for count in components
    }
    return {PRIORS[0]: CONFIG, **learned}


def facts_of(run: TrainingRun, task: JudgeTask, *, cpu_s: float) -> dict[str, float]:
    """Scores of a finished run, and the CPU time of its training."""
    scores = run.scores()
    return judged_facts(run, task) | {
        "mutual_information": scores.mutual_information,
        "marginal_kl": scores.marginal_kl,
        "active_units": scores.active_units,
        "cpu_s": cpu_s,
    }


def fitted(run: TrainingRun, tasks: tuple[TrainingTask, JudgeTask], count: int) -> dict[str, float]:
    """Scores of a finished run with a mixture fitted to its codes, and the CPU time of the fit and its comparison."""
    task, judge_task = tasks
    started = time.process_time()
    found = fit_prior(description_of(run), run.averaged_weights(), task, components=count)
    cpu_s = time.process_time() - started
    judged = judge(found.weights, found.description, judge_task)
    return {
        "neg_iwae": -float(judged.iwae.mean()),
        "neg_elbo": float(judged.neg_elbo.mean()),
        "rate": float(judged.rate.mean()),
        "select_gain": found.gain,
        "select_standard_error": found.standard_error,
        "kept": float(found.is_better),
        "fit_cpu_s": cpu_s,
    }


def measured(
    task: TrainingTask, judge_task: JudgeTask, plan: TrainingPlan, seed: int, components: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Facts of one training with each prior, an epoch of each in turn."""
    trainers = {name: Trainer(task, threads=1) for name in configs(components)}
    runs = {name: trainers[name].start(config, plan, seed=seed) for name, config in configs(components).items()}
    spent = dict.fromkeys(runs, 0.0)
    for epoch in range(plan.epochs):
        for name, run in runs.items():
            started = time.process_time()
            run.train_epoch()
            spent[name] += time.process_time() - started if epoch else 0.0  # the first compiles
    found = {name: facts_of(run, judge_task, cpu_s=spent[name]) for name, run in runs.items()}
    for count in components:
        scores = fitted(runs[PRIORS[0]], (task, judge_task), count)
        found[fitted_name(count)] = scores | {"cpu_s": spent[PRIORS[0]]}
    return found


def fitted_name(count: int) -> str:
    """The name of the standard prior with a mixture of so many fitted after training."""
    return f"standard, fitted {count}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=130)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--components", type=int, nargs="+", default=list(COMPONENTS))
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "priors.json")
    arguments = parser.parse_args()
    dataset = load_dataset(DataSpec(source="digits"), cache=Path("none"))
    plan = cosine_plan(arguments.epochs)
    task, judge_task, counts = TrainingTask.of(dataset), JudgeTask.of(dataset), tuple(arguments.components)
    names = [*configs(counts), *map(fitted_name, counts)]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in range(arguments.seeds):
        for name, facts in measured(task, judge_task, plan, seed, counts).items():
            found[name].append(facts)
            print(f"{name}, seed {seed}: {json.dumps(facts)}", flush=True)
    steps = plan.epochs * (len(task.train) // CONFIG.batch_size)
    for name, runs in found.items():
        cost = sum(run["cpu_s"] for run in runs) / sum(run["cpu_s"] for run in found[PRIORS[0]])
        means = {key: statistics.fmean(run[key] for run in runs) for key in ("neg_elbo", "rate")}
        fits = [run["fit_cpu_s"] for run in runs if "fit_cpu_s" in run]
        fit = f", of a fit {statistics.fmean(fits):.1f} s" if fits else ""
        print(
            f"{name}: {gains_in_words(runs, found[PRIORS[0]])}, -ELBO {means['neg_elbo']:.3f}, "
            f"rate {means['rate']:.3f}, CPU of training {cost:.2f} ×{fit}"
        )
    report = {"steps": steps, "judge_images": len(judge_task.images), "runs": found, "machine": describe_machine()}
    arguments.output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
