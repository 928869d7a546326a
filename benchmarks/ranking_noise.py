"""Noise of the value that ranks trials: the bound by one draw of z, by several, IWAE-16, and IWAE-500 of the contest.

Eight models of the built-in digits, of different configs, scored on the 150 select images:

paired standard error   of the difference of two models, image by image: what a ranking of two trials is worth
noise of the draws      of one fixed model's score, and of a difference of two, over 16 seeds of the evaluation's noise
common noise            the same of pairs with equal latent_dim, whose draws are the same numbers: whether they cancel

Then what scoring after an epoch costs beside the epoch's training, in CPU seconds, by one draw and by several.

    python benchmarks/ranking_noise.py   # about three minutes on one core
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion import slice_task
from machine import describe_machine

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.objective import evaluation
from vae_search.vae.objective.evaluation_size import TRIAL_IWAE_SAMPLES, elbo_draws
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer
from vae_search.vae.training.training_run import TrainingRun

HERE = Path(__file__).parent
DRAWS = (1, 4, 16, 64)
EPOCHS, NOISE_SEEDS, JUDGE_SAMPLES, TIMED = 27, 16, 500, 5
LATENTS = (8, 8, 8, 10, 12, 13, 16, 16)  # equal ones for the common noise
PLAN = TrainingPlan(
    epochs=EPOCHS, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
)
Score = Callable[[evaluation.Evaluator, list[np.ndarray], np.ndarray], np.ndarray]


def scores() -> dict[str, Score]:
    """Bounds on -log p(x) of each image, nats, by name."""

    def elbo(draws: int) -> Score:
        return lambda evaluator, weights, seen: evaluator.evaluate(weights, seen, draws=draws).neg_elbo

    def iwae(samples: int) -> Score:
        return lambda evaluator, weights, seen: -evaluator.iwae(weights, seen, samples)

    return {f"elbo_{draws}": elbo(draws) for draws in DRAWS} | {
        f"iwae_{samples}": iwae(samples) for samples in (TRIAL_IWAE_SAMPLES, JUDGE_SAMPLES)
    }


@contextmanager
def noise_seed(seed: int) -> Iterator[None]:
    """Let the evaluation's noise follow from another seed."""
    before = evaluation.EVALUATION_SEED
    evaluation.EVALUATION_SEED = before + 1_000 * seed
    try:
        yield
    finally:
        evaluation.EVALUATION_SEED = before


def digits_models(task: TrainingTask) -> list[tuple[evaluation.Evaluator, list[np.ndarray]]]:
    trainer, rng = Trainer(task, threads=1), np.random.default_rng(5)
    models = []
    for seed, latent_dim in enumerate(LATENTS):
        config = Config(
            latent_dim=latent_dim,
            depth=1,
            width=int(rng.choice([64, 128])),
            activation="elu",
            learning_rate=float(np.exp(rng.uniform(np.log(3e-3), np.log(9e-3)))),
            beta=float(rng.uniform(0.6, 1.0)),
            batch_size=32,
        )
        run = trainer.start(config, PLAN, seed=seed)
        for _ in range(EPOCHS):
            measured = run.train_epoch()
        print(f"model {seed} (latent_dim {latent_dim}): neg_elbo {measured.neg_elbo:.3f}", flush=True)
        models.append((run._graph.evaluator, list(run.averaged_weights().values())))
    return models


def paired_errors(models: list, images: np.ndarray) -> dict[str, dict[str, float]]:
    found = {}
    for name, score in scores().items():
        values = [score(*model, images) for model in models]
        errors = [float(np.std(a - b, ddof=1) / np.sqrt(len(images))) for a, b in combinations(values, 2)]
        found[name] = {"median": float(np.median(errors)), "least": min(errors), "most": max(errors)}
    return found


def noise_of_draws(models: list, images: np.ndarray) -> dict[str, dict[str, float]]:
    """Standard deviations over noise seeds, medians over models or pairs."""
    found = {}
    pairs = list(combinations(range(len(models)), 2))
    alike = [(a, b) for a, b in pairs if LATENTS[a] == LATENTS[b]]
    for name, score in list(scores().items())[:-1]:
        means = np.empty((NOISE_SEEDS, len(models)))
        for seed in range(NOISE_SEEDS):
            with noise_seed(seed):
                means[seed] = [score(*model, images).mean() for model in models]
        shifted = np.roll(means, 1, axis=0)  # another seed's noise for the second model of a pair
        found[name] = {
            "model": float(np.median(means.std(axis=0, ddof=1))),
            "difference": float(np.median([np.std(means[:, a] - means[:, b], ddof=1) for a, b in pairs])),
            "alike_common": float(np.median([np.std(means[:, a] - means[:, b], ddof=1) for a, b in alike])),
            "alike_own": float(np.median([np.std(means[:, a] - shifted[:, b], ddof=1) for a, b in alike])),
        }
    return found


def costs_of_scoring(run: TrainingRun, images: np.ndarray) -> dict[str, float]:
    """CPU seconds of the fastest of a few epochs, and of scoring after one; an epoch has one scoring in it."""
    evaluator, weights = run._graph.evaluator, list(run.averaged_weights().values())
    timed = {
        "epoch": run.train_epoch,
        "one_draw": lambda: evaluator.neg_elbo(weights, images, draws=1),
        "several_draws": lambda: evaluator.neg_elbo(weights, images),
        "most_draws": lambda: evaluator.neg_elbo(weights, images, draws=DRAWS[-1]),
        "iwae": lambda: evaluator.iwae(weights, images, TRIAL_IWAE_SAMPLES),
    }
    found: dict[str, float] = {"images": len(images), "draws": elbo_draws(len(images))}
    for name, call in timed.items():
        taken = []
        for _ in range(TIMED):
            began = time.process_time()
            call()
            taken.append(time.process_time() - began)
        found[f"{name}_cpu_s"] = min(taken)
    training_s = found["epoch_cpu_s"] - found["several_draws_cpu_s"]
    return found | {
        f"{name}_share": found[f"{name}_cpu_s"] / training_s for name in ("one_draw", "several_draws", "most_draws")
    }


def main() -> None:
    dataset = load_dataset(DataSpec(source="digits"), cache=Path("none"))
    task = TrainingTask.of(dataset)
    models = digits_models(task)
    errors, noise = paired_errors(models, task.select), noise_of_draws(models, task.select)
    for name, of in errors.items():
        told = ", ".join(f"{key} {value:.4f}" for key, value in noise.get(name, {}).items())
        print(f"{name:8} paired SE {of['median']:.3f} ({of['least']:.3f} … {of['most']:.3f}); noise of draws: {told}")
    costs = {}
    digits = Config(latent_dim=10, depth=2, width=64, batch_size=64)
    fashion = Config(latent_dim=24, depth=2, width=256, batch_size=128)
    for name, config, of_task in (
        ("digits", digits, task),
        ("fashion, 10,000 to train on", fashion, slice_task()),
        ("fashion, 50,000 to train on", fashion, slice_task(train=50_000, select=5_000)),
    ):
        run = Trainer(of_task, threads=1).start(config, PLAN, seed=1)
        run.train_epoch()
        costs[name] = costs_of_scoring(run, of_task.select)
        shares = [costs[name][f"{draws}_share"] for draws in ("one_draw", "several_draws", "most_draws")]
        draws = f"1, {costs[name]['draws']} and {DRAWS[-1]} draws"
        print(f"{name}: {draws} take {', '.join(f'{share:.1%}' for share in shares)} of training", flush=True)
    results = {
        "machine": describe_machine(),
        "latent_dims": LATENTS,
        "epochs": EPOCHS,
        "select_images": len(task.select),
        "paired_standard_error_nats": errors,
        "noise_of_draws_nats": noise,
        "costs": costs,
    }
    (HERE / "results" / "ranking_noise.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
