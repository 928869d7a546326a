"""Gates on what the training made: a code in use, steps to the end, nothing learned by heart, the same with every seed.

Each limit has the scale of what it limits. A difference between two trainings, or two moments of one, is held to the
least gain that counts (`least_gain_nats`): seeds and epochs differ by tenths of a nat on eight by eight pixels as on
twenty-eight by twenty-eight, while the span grows from 4 to 150 nats. What a code does is held to what it says, its
rate. What was learned by heart is held to all that was learned, the span. A mean over images or seeds has its standard
error, and what that explains does not count.
"""

import numpy as np

from vae_search.core.image_bounds import ImageBounds
from vae_search.core.measurements import COLLAPSED_NATS
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import (
    GateInputs,
    GateResult,
    least_gain_nats,
    not_applicable,
    not_measured,
    of_worst_seed,
    span_nats,
    standard_error,
)
from vae_search.spec.hyperparameters import Config
from vae_search.store.ledger.confirm_runs import ConfirmRow

GAP_STANDARD_ERRORS = 2.0
SEED_STANDARD_ERRORS = 2.0


def uses_its_code(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Not collapsed: the posterior says something about its image (KL in nats per image)."""
    return of_worst_seed(
        "rate", candidate, lambda _, bounds: float(bounds.rate.mean()), lambda *_: limit, "nats", at_least=True
    )


def enough_active_units(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Not collapsed: latents whose mean moves from image to image (Burda et al. 2016, 5, variance above 0.01).

    A model with fewer latents than the limit must use them all.
    """

    def least(row: ConfirmRow, _: ImageBounds) -> float:
        return min(limit, Config.from_params(row.params).latent_dim)

    return of_worst_seed(
        "active_units", candidate, lambda row, _: row.active_units, least, "active units", at_least=True
    )


def code_matters(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Not collapsed: with another image's code the decoder does clearly worse, in nats of distortion.

    A decoder that uses all that the code says loses at least the rate: with a foreign code it expects the image no more
    than the prior does, log p(x) ≥ E_q(z)[log p(x|z)], and log p(x) is below E_q(z|x)[log p(x|z)] by the rate, up to
    the posterior's error.
    """
    return of_worst_seed(
        "shuffle_gap",
        candidate,
        lambda row, _: row.shuffle_gap,
        # A code that says less is held to that much.
        lambda _, bounds: limit * max(COLLAPSED_NATS, float(bounds.rate.mean())),
        "nats lost with another image's code",
        at_least=True,
    )


def warm_up_finished(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Trained with the full weight of the KL, not only on the way to it."""

    def epochs_after(row: ConfirmRow, _: ImageBounds) -> int:
        kept = row.epochs if row.best_epoch is None else row.best_epoch  # the last one's weights, in older rows
        return kept - Config.from_params(row.params).kl_warmup_epochs

    return of_worst_seed("warm_up", candidate, epochs_after, lambda *_: limit, "epochs after warm-up", at_least=True)


def no_final_regression(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """The last epochs are about as good as the best ones (part A of the instability), to within so many least gains."""
    if candidate.complete and all(row.instability is None for row in candidate.complete):
        return not_applicable("regression", limit, "too few epochs after warm-up to tell")
    return of_worst_seed(
        "regression",
        candidate,
        lambda row, _: row.instability_regression,
        lambda _, bounds: limit * least_gain_nats(bounds, facts.min_gain),
        "nats lost at the end",
    )


def generalises(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Training images are not explained much better than held-out ones: by so much of the span beyond the gap's noise.

    A few hundred images differ from others by nats, just so. The gap is a difference of two means over as many images
    each, select and training; the judge images, which are as many as the select images, tell the spread of both.
    """
    return of_worst_seed(
        "generalisation",
        candidate,
        lambda row, _: row.generalisation_gap,
        lambda _, bounds: limit * span_nats(bounds) + noise_of_gap(bounds),
        "nats between training and held-out images",
    )


def noise_of_gap(bounds: ImageBounds) -> float:
    """Two standard errors of a difference of two means over as many images as `bounds` has, nats."""
    return GAP_STANDARD_ERRORS * float(np.sqrt(2.0)) * standard_error(bounds.neg_elbo)


def seeds_agree(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """The mean over seeds is known well enough for a contest: its standard error, against the least gain that counts.

    By the standard error and not the deviation: that is what a contest can resolve, and more seeds help. Means over few
    images differ although the seeds do not, and what that explains is no difference between seeds.
    """
    bounds = [candidate.bounds[row.confirm_seed] for row in candidate.testifying]
    if len(bounds) < 2:
        return not_measured("seed_spread", limit, "one seed has no spread")
    deviation = float(np.std([of.neg_iwae.mean() for of in bounds], ddof=1))
    error = deviation / float(np.sqrt(len(bounds)))
    least = limit * float(np.mean([least_gain_nats(of, facts.min_gain) for of in bounds]))
    noise = noise_of_seed_means(np.stack([of.neg_iwae for of in bounds]))
    most = max(least, noise)
    explained = f", which {len(bounds[0])} images explain" if noise > least else ""
    explanation = (
        f"standard error {error:.3g} nats of the mean over {len(bounds)} seeds (deviation {deviation:.3g}), "
        f"at most {most:.3g}{explained}"
    )
    return GateResult(name="seed_spread", value=error, limit=most, passed=error <= most, explanation=explanation)


def noise_of_seed_means(values: np.ndarray) -> float:
    """Two standard errors of the mean over seeds, as finite images alone would make seeds seem to differ; nats.

    From the interaction of seeds and images: what remains of the values when each seed's mean and each image's are
    taken away, the residual of a two-way layout without repetition. With s² its mean square on (seeds - 1) (images - 1)
    degrees of freedom, means of equal seeds have variance s² / images, and theirs s² / (images · seeds).

    Args:
        values: (seeds, images), the same images in the same order.
    """
    seeds, images = values.shape
    if min(seeds, images) < 2:
        return 0.0
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    mean_square = float(np.square(residual).sum()) / ((seeds - 1) * (images - 1))
    return SEED_STANDARD_ERRORS * float(np.sqrt(mean_square / (images * seeds)))
