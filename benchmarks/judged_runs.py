"""Trainings that are compared on judge images: their plan, their scores, and the gains over a reference in words."""

import statistics
from collections.abc import Mapping, Sequence

from vae_search.data.tasks import JudgeTask
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.training_run import TrainingRun

CLAMP = (-6.0, 2.0)


def cosine_plan(epochs: int) -> TrainingPlan:
    """A training of so many epochs on black and white images, whose rate falls to nothing."""
    return TrainingPlan(
        epochs=epochs, lr_schedule="cosine", ema_decay=0.999, log_variance_clamp=CLAMP, likelihood="bernoulli"
    )


def description_of(run: TrainingRun) -> ModelDescription:
    """The model of a run on black and white images."""
    return ModelDescription(network=run.network_spec, levels=2, clamp=CLAMP)


def judged_facts(run: TrainingRun, task: JudgeTask) -> dict[str, float]:
    """Scores of a run's averaged weights on the judge images, nats per image."""
    judged = judge(run.averaged_weights(), description_of(run), task)
    return {
        "neg_iwae": -float(judged.iwae.mean()),
        "neg_elbo": float(judged.neg_elbo.mean()),
        "rate": float(judged.rate.mean()),
    }


def gains_in_words(runs: Sequence[Mapping[str, float]], reference: Sequence[Mapping[str, float]]) -> str:
    """Mean IWAE-500 of runs, and by how much each differs from the reference of the same seed."""
    gains = [one["neg_iwae"] - other["neg_iwae"] for one, other in zip(runs, reference, strict=True)]
    mean = statistics.fmean(run["neg_iwae"] for run in runs)
    return f"IWAE-500 {mean:.3f} ({statistics.fmean(gains):+.3f}: {', '.join(f'{gain:+.3f}' for gain in gains)})"
