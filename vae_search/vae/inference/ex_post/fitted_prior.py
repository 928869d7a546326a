"""Ex-post prior: a mixture of Gaussians fitted to a trained model's codes, in the place of the prior that it has.

The source is Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", section 4. Encoder and decoder stay
as they are. Where codes of images leave parts of the prior empty, samples from it are no images, and the bound pays for
it: the fitted one follows the aggregate posterior. It is a learned prior like any other, so that everything which
reads a model reads it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vae_search.data.pixel_statistics import intensities
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.prior_weights import prior_names
from vae_search.vae.objective.evaluation_size import TRIAL_IWAE_SAMPLES
from vae_search.vae.objective.pixels import fixed_train
from vae_search.vae.priors.fitting import fitted_mixture

FIT_SEED = 786
CODES = 20_000
"""draws of q(z|x) that a mixture is fitted to: one of as many training images, several of each where there are fewer"""
STANDARD_ERRORS = 2.0
"""by which a fitted prior must be better on the select images"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedPrior:
    """A model with a fitted prior, and what that changes on the select images.

    Args:
        description, weights: of the model with the mixture as its prior; all other weights are those that were given.
        gain: of the IWAE-`iwae_k` bound on log p(x), mean over images, nats; negative where it is worse.
        standard_error: of `gain`, over images.
        images: that it was measured on.
    """

    description: ModelDescription
    weights: Mapping[str, np.ndarray]
    gain: float
    standard_error: float
    iwae_k: int
    images: int

    @property
    def is_better(self) -> bool:
        """True if the gain is none that the choice of images explains."""
        return self.gain > STANDARD_ERRORS * self.standard_error


def fit_prior(
    description: ModelDescription,
    weights: Mapping[str, np.ndarray],
    task: TrainingTask,
    *,
    components: int,
    codes: int = CODES,
) -> FittedPrior:
    """Fit a mixture to the codes of training images, and measure on the select images what it gains.

    A function of its arguments. The judge images have no say: they state what the chosen version scores.

    Args:
        description, weights: of a trained model of layers; a Keras network of one's own has the standard prior.
        codes: draws that the mixture is fitted to, at least.
    """
    found = codes_of(VaeModel(description, weights), task, count=codes)
    fitted = fitted_mixture(found, components, seed=FIT_SEED)
    network = replace(description.network, prior="mixture", prior_components=components)
    changed = replace(description, network=network)
    trained = {*prior_names(description.network.prior)}
    kept = {name: array for name, array in weights.items() if name not in trained}
    with_it = kept | dict(zip(prior_names(network.prior), fitted, strict=True))
    select = JudgeTask(images=task.select, pixels=task.pixels, labels=task.select_labels)
    before, after = (
        judge(of, described, select, iwae_samples=TRIAL_IWAE_SAMPLES).iwae
        for of, described in ((weights, description), (with_it, changed))
    )
    gains = after - before
    return FittedPrior(
        description=changed,
        weights=with_it,
        gain=float(gains.mean()),
        standard_error=float(gains.std(ddof=1) / math.sqrt(len(gains))),
        iwae_k=TRIAL_IWAE_SAMPLES,
        images=len(gains),
    )


def codes_of(model: VaeModel, task: TrainingTask, *, count: int) -> np.ndarray:
    """Draws of q(z|x) of training images evenly spread over all, at least `count`: (n, latent_dim), n ≥ count.

    Where pixels are binarised at every visit, each draw of an image has its own.
    """
    images = min(count, len(task.train))
    chosen = np.arange(images, dtype=np.int64) * len(task.train) // images
    labels = None if task.labels is None else task.labels.train[chosen]
    rng = np.random.default_rng(FIT_SEED)
    found = []
    for turn in range(math.ceil(count / images)):
        seen = fixed_train(task, len(task.train), seed=FIT_SEED + turn)[chosen]
        mean, log_variance = model.encode(intensities(seen, task.pixels.levels), labels)
        found.append(mean + np.exp(0.5 * log_variance) * rng.standard_normal(mean.shape))
    return np.concatenate(found)
