"""Per-image scores of a finished model on the judge images, the input of champion test and gates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vae_search.data.image_checks import blocks
from vae_search.data.pixel_statistics import intensities
from vae_search.data.tasks import JudgeTask
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build

if TYPE_CHECKING:
    from vae_search.vae.objective.likelihoods import Likelihood

JUDGE_IWAE_SAMPLES = 500
"""K of the bound that finalists are compared by; half a minute per core for 5,000 28×28 images and a 2×256 MLP."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """One model's scores on the judge images, each (n,) float64 in nats per image, in the images' order.

    Args:
        distortion: -E_q[log p(x|z)], one draw of z with fixed noise.
        rate: KL(q(z|x) ‖ p(z)); distortion + rate is the negative ELBO at beta = 1.
        iwae: the IWAE-`iwae_k` bound on log p(x); higher is better.
        baseline: -log p(x) under the latent-free model: what a model must beat to have learned something.

    Raises:
        ValueError: The arrays differ in length or type, are empty, or a value is not finite (invariant I8).
    """

    distortion: np.ndarray
    rate: np.ndarray
    iwae: np.ndarray
    baseline: np.ndarray
    iwae_k: int

    def __post_init__(self) -> None:
        arrays = {name: getattr(self, name) for name in ("distortion", "rate", "iwae", "baseline")}
        shapes = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        if len(set(shapes.values())) > 1 or self.iwae.ndim != 1 or self.iwae.dtype != np.float64 or not self.iwae.size:
            raise ValueError(f"scores must be float64 of one shape (n,) with n > 0, but got {shapes}")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                first = int(np.flatnonzero(~np.isfinite(array))[0])
                raise ValueError(f"`{name}` must be finite, but is {array[first]} for image {first}")

    @property
    def neg_elbo(self) -> np.ndarray:
        """(n,) distortion + rate."""
        neg_elbo: np.ndarray = self.distortion + self.rate
        return neg_elbo

    @property
    def standard_error(self) -> float:
        """Standard error of the mean of `iwae` over images."""
        return float(self.iwae.std(ddof=1) / np.sqrt(len(self.iwae)))


def judge(
    weights: Mapping[str, np.ndarray],
    description: ModelDescription,
    task: JudgeTask,
    *,
    iwae_samples: int = JUDGE_IWAE_SAMPLES,
) -> Judgement:
    """Score averaged weights on the judge images; equal weights get equal bits, however they were trained (I6).

    Args:
        weights: by the network's names, as `TrainingRun.averaged_weights` gives them.

    Raises:
        ValueError: The weights are not the described network's, its likelihood is unknown, the images have other
            levels, or a score is not finite.
    """
    if task.pixels.levels != description.levels:
        raise ValueError(f"images must have {description.levels} levels, but have {task.pixels.levels}")
    # Whoever only reads judgements needs no TensorFlow, which takes seconds to import.
    from vae_search.vae.objective.evaluation import Evaluator
    from vae_search.vae.objective.likelihoods import likelihood_of

    ordered = build(description.network).ordered(weights)
    evaluator = Evaluator.of(description)
    evaluation = evaluator.evaluate(ordered, task.images)
    return Judgement(
        distortion=evaluation.distortion.astype(np.float64),
        rate=evaluation.kl.sum(axis=1, dtype=np.float64),
        iwae=evaluator.iwae(ordered, task.images, iwae_samples),
        baseline=latent_free_baseline(task, likelihood_of(description.likelihood, description.levels)),
        iwae_k=iwae_samples,
    )


def latent_free_baseline(task: JudgeTask, likelihood: "Likelihood") -> np.ndarray:
    """-log p(x) of each image if its pixels are independent of each other, in nats: (n,) float64.

    Under the likelihood's `latent_free` output, which is the model that every decoder starts from.
    """
    output = likelihood.latent_free(task.pixels)[None]
    parts = [
        likelihood.distortion(intensities(block, task.pixels.levels), output).numpy() for block in blocks(task.images)
    ]
    return np.concatenate(parts).astype(np.float64)
