"""Real trainings, healthy ones and sick ones, before the promotion's gates: what each gate says on two data sets.

Digits (8×8 pixels, span 4 nats) and Fashion-MNIST (28×28, span 150): a limit that means something on both scales with
what it limits. Each case is one config with three seeds, trained, scored and judged as a confirm run is, and sick in
one way that a person would name: collapsed, learned by heart, left half-way, stopped early, another model with every
seed. Whole trainings of Fashion-MNIST are those of `fashion_champion.py` and `fashion_quality.py`. Gates on files,
samples and copies have no part here.

    python benchmarks/gate_cases.py
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine, fashion_mnist_folder

from vae_search.core.image_bounds import BOUND_NAMES, ImageBounds
from vae_search.core.measurements import Scores
from vae_search.core.trial_state import State
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs, GateResult, SampleQuality
from vae_search.registry.promotion.gates import judge as judge_gates
from vae_search.store.ledger.confirm_runs import ConfirmRow

RESULTS = Path(__file__).parent / "results" / "gate_cases.json"
SEEDS = (1, 2, 3)
IWAE_SAMPLES = 50
HELD_OUT = 2000  # select images, and judge images, at most: each case takes some ten seconds
DATASETS = ("digits", "fashion")
ELSEWHERE = ("duplicates", "reload", "sample_quality")  # gates that no training can fail
INPUTS = GateInputs(
    reload_difference=0.0,
    sample_quality=SampleQuality(metric="none", value=0.0, standard_error=0.0),
    champion_sample_quality=None,
    held_out_share_in_train=0.0,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One config and how it is trained; `params` and `train_images` differ from the healthy config's."""

    epochs: int
    params: Mapping[str, Any] = field(default_factory=dict)
    train_images: int | None = None


HEALTHY = {
    "digits": {"activation": "gelu", "batch_size": 32, "beta": 0.62, "latent_dim": 13, "learning_rate": 0.009,
               "width": 64},
    "fashion": {"activation": "gelu", "batch_size": 128, "latent_dim": 16, "learning_rate": 0.001, "width": 256},
}  # fmt: skip
CASES: Mapping[str, Mapping[str, Case]] = {
    "digits": {
        "healthy": Case(epochs=27),
        "healthy, one latent": Case(epochs=27, params={"latent_dim": 1, "learning_rate": 0.003}),
        "collapsed": Case(epochs=27, params={"beta": 30.0}),
        "left in the warm-up": Case(epochs=27, params={"kl_warmup_epochs": 27}),
        "learned by heart": Case(epochs=400, train_images=100),
        "another with every seed": Case(epochs=27, params={"learning_rate": 0.03}),
    },
    "fashion": {
        "stopped early": Case(epochs=13, train_images=10_000),
        "collapsed": Case(epochs=3, params={"beta": 100.0}, train_images=5000),
        "left in the warm-up": Case(epochs=3, params={"kl_warmup_epochs": 3}, train_images=5000),
        "learned by heart": Case(epochs=100, params={"batch_size": 32}, train_images=500),
    },
}


def trained(dataset: str, names: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each case with the figures of its seeds."""
    from vae_search.data.dataset import load_dataset
    from vae_search.data.tasks import JudgeTask, TrainingTask
    from vae_search.spec.hyperparameters import Config
    from vae_search.spec.sections import DataSpec
    from vae_search.vae.inference.scoring import judge
    from vae_search.vae.networks.model_config import ModelDescription
    from vae_search.vae.training.plan import TrainingPlan
    from vae_search.vae.training.trainer import Trainer

    source = DataSpec(source="digits") if dataset == "digits" else DataSpec(source=str(fashion_mnist_folder()))
    images = load_dataset(source, cache=Path("none"))
    task, judge_task = TrainingTask.of(images), JudgeTask.of(images)
    task = replace(task, select=task.select[:HELD_OUT])
    judge_task = replace(judge_task, images=judge_task.images[:HELD_OUT])
    for name in names:
        case = CASES[dataset][name]
        trainer = Trainer(replace(task, train=task.train[: case.train_images]), threads=1)
        plan = TrainingPlan(
            epochs=case.epochs,
            lr_schedule="constant",
            ema_decay=0.999,
            log_variance_clamp=(-6.0, 2.0),
            likelihood="bernoulli",
        )
        params = HEALTHY[dataset] | case.params
        seeds = []
        for seed in SEEDS:
            run = trainer.start(Config.from_params(params), plan, seed=seed)
            for _ in range(case.epochs):
                run.train_epoch()
            description = ModelDescription(network=run.network_spec, levels=2, clamp=plan.log_variance_clamp)
            bounds = judge(run.averaged_weights(), description, judge_task, iwae_samples=IWAE_SAMPLES)
            seeds.append({"scores": _plain(run.scores()), "bounds": _summary(bounds)})
        yield name, {"epochs": case.epochs, "params": dict(params), "images": len(judge_task.images), "seeds": seeds}


def candidate_of(figures: Mapping[str, Any]) -> Candidate:
    """The finalist that had these figures.

    Its images are made up anew: they have the same means, spreads and differences between bounds.
    """
    rows, bounds = [], {}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number, seed in enumerate(figures["seeds"], start=1):
        scores = seed["scores"]
        known = {name: value for name, value in scores.items() if name in ConfirmRow.__dataclass_fields__}
        parts = scores["instability"] or {}
        rows.append(
            ConfirmRow(
                **known
                | {"instability": sum(parts.values()) if parts else None}
                | {f"instability_{name}": value for name, value in parts.items()}
                | {"kl_per_dimension": tuple(scores["kl_per_dimension"])},
                sweep="cases",
                trial=0,
                confirm_seed=number,
                state=State.COMPLETE,
                seed=number,
                attempts=1,
                lease=1,
                started_at=at,
                finished_at=at,
                epochs=figures["epochs"],
                params=figures["params"],
                comparability_key="c" * 64,
                spec_sha256="d" * 64,
            )
        )
        bounds[number] = _bounds(seed["bounds"], figures["images"])
    return Candidate(rows=tuple(rows), bounds=bounds)


def verdicts(figures: Mapping[str, Any]) -> tuple[GateResult, ...]:
    """What the gates that judge a training say."""
    return tuple(of for of in judge_gates(candidate_of(figures), INPUTS, {}) if of.name not in ELSEWHERE)


def _plain(scores: Scores) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(scores).items() if name not in ("iwae", "iwae_k")}
    return plain | {"instability": None if scores.instability is None else asdict(scores.instability)}


def _summary(bounds: ImageBounds) -> dict[str, float]:
    """Means, the spread of the ELBO over images, and that of its distance to the bound of many samples."""
    means = {name: float(getattr(bounds, name).mean()) for name in BOUND_NAMES}
    apart = bounds.neg_elbo - bounds.neg_iwae
    return means | {"neg_elbo_sd": float(bounds.neg_elbo.std(ddof=1)), "apart_sd": float(apart.std(ddof=1))}


def _bounds(of: Mapping[str, float], images: int) -> ImageBounds:
    rng = np.random.default_rng(0)

    def spread(sd: float) -> np.ndarray:
        noise = rng.normal(size=images)
        standard: np.ndarray = (noise - noise.mean()) / noise.std(ddof=1) * sd
        return standard

    distortion = of["distortion"] + spread(of["neg_elbo_sd"])
    rate = np.full(images, of["rate"])
    apart = of["distortion"] + of["rate"] + of["iwae"] + spread(of["apart_sd"])
    return ImageBounds(
        distortion=distortion,
        rate=rate,
        iwae=apart - distortion - rate,
        baseline=np.full(images, of["baseline"]),
        iwae_k=IWAE_SAMPLES,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS, action="append", help="only this one; the others' figures stay")
    parser.add_argument("--case", action="append", help="only this one")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for dataset in options.dataset or DATASETS:
        names = tuple(options.case or CASES[dataset])
        for name, figures in trained(dataset, names):
            found.setdefault(dataset, {})[name] = figures
            refused = {of.name: of.explanation for of in verdicts(figures) if not of.passed}
            print(f"{dataset}, {name}: {'passes' if not refused else 'refused'}", flush=True)
            for gate, why in refused.items():
                print(f"    {gate}: {why}", flush=True)
            found["machine"] = describe_machine()
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
