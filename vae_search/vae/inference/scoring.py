"""Per-image scores of a finished model on the judge images, the input of champion test and gates."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vae_search.core.image_bounds import ImageBounds, LadderStep
from vae_search.data.tasks import JudgeTask
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build
from vae_search.vae.objective.baseline import baseline_nats

if TYPE_CHECKING:
    from vae_search.vae.inference.model import Trained
    from vae_search.vae.objective.likelihoods import Likelihood

JUDGE_IWAE_SAMPLES = 500
"""K of the bound that finalists are compared by; half a minute per core for 5,000 28×28 images and a 2×256 MLP."""

LADDER = (50, JUDGE_IWAE_SAMPLES, 5000)
LADDER_IMAGES = 500
"""of the judge images, so that a ladder to K = 5000 costs what 5,000 images cost by K = 500"""


def judge(
    trained: "Trained",
    description: ModelDescription,
    task: JudgeTask,
    *,
    iwae_samples: int = JUDGE_IWAE_SAMPLES,
    threads: int = 1,
) -> ImageBounds:
    """Score averaged weights on the judge images; equal weights get equal bits, however they were trained (I6).

    Args:
        trained: weights by the network's names, as `TrainingRun.averaged_weights` gives them; or a SavedModel.
        threads: see `Evaluator.iwae`.

    Raises:
        ValueError: The weights are not the described network's, its likelihood is unknown, the images have other
            levels, or a score is not finite.
    """
    check_classes(description, task.labels)
    if task.pixels.levels != description.levels:
        raise ValueError(f"images must have {description.levels} levels, but have {task.pixels.levels}")
    # Whoever only reads judgements needs no TensorFlow, which takes seconds to import.
    from vae_search.vae.objective.evaluation import Evaluator
    from vae_search.vae.objective.likelihoods import likelihood_of

    topology, ordered = scored(trained, description)
    evaluator = Evaluator.of(description, topology)
    evaluation = evaluator.evaluate(ordered, task.images, task.labels)
    return ImageBounds(
        distortion=evaluation.distortion.astype(np.float64),
        rate=evaluation.rates.sum(axis=1, dtype=np.float64),
        iwae=evaluator.iwae(ordered, task.images, iwae_samples, labels=task.labels, threads=threads),
        baseline=latent_free_baseline(task, likelihood_of(description.likelihood, description.levels)),
        iwae_k=iwae_samples,
    )


def check_classes(description: ModelDescription, labels: np.ndarray | None) -> None:
    """Refuse labels that a model does not know, and images without labels where it sees them.

    Raises:
        ValueError: They are none of its classes.
    """
    classes = description.network.classes
    if (labels is None) != (classes == 0):
        raise ValueError("the model sees labels, but the images have none" if classes else "the model sees no labels")
    if labels is not None and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels must lie in 0 … {classes - 1}, but lie in {labels.min()} … {labels.max()}")


def scored(trained: "Trained", description: ModelDescription) -> tuple[Any, list[np.ndarray]]:
    """Topology of a model and its weights in order, as evaluations take them; a SavedModel has its weights.

    Raises:
        ValueError: The weights are not the described network's.
    """
    if not isinstance(trained, Mapping):
        return trained, []
    network = build(description.network)
    return network.topology, network.ordered(trained)


def judge_ladder(trained: "Trained", description: ModelDescription, task: JudgeTask) -> list[LadderStep]:
    """Bounds and effective sample sizes on the first judge images for each K of `LADDER`: how tight the bound is.

    Raises:
        ValueError: The weights are not the described network's, or its likelihood is unknown.
    """
    from vae_search.vae.objective.importance_ladder import ladder_of

    topology, ordered = scored(trained, description)
    some = task.first(LADDER_IMAGES)
    return ladder_of(ordered, topology, description, some.images[:], LADDER, labels=some.labels)


def latent_free_baseline(task: JudgeTask, likelihood: "Likelihood") -> np.ndarray:
    """-log p(x) of each judge image under the latent-free model, in nats: (n,) float64; see `baseline_nats`."""
    return baseline_nats(task.images, task.pixels, likelihood, labels=task.labels, class_pixels=task.class_pixels)
