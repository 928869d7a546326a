"""Inputs of the gates, and the result of each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vae_search.core.image_bounds import ImageBounds
from vae_search.registry.promotion.evidence import Candidate
from vae_search.store.ledger.confirm_runs import ConfirmRow

MIN_GAIN_NATS = 0.1
GAIN_SHARE = 0.0005  # of the bound: what `MIN_GAIN_NATS` is of the 200 nats of 28×28 binarised images


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleQuality:
    """Distance of generated images from real ones; lower is better.

    Args:
        metric: its name, which includes whatever else it depends on; only equal names are compared.
    """

    metric: str
    value: float
    standard_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInputs:
    """Measurements for the gates beside the confirm runs; None where something was not measured.

    Args:
        reload_difference: by how much the mean bound of the artifact, loaded anew in a fresh process, differs from the
            recorded one; nats per image. None if it cannot be loaded.
        sample_quality: of the candidate's artifact.
        champion_sample_quality: of the champion's; None if there is no champion.
        held_out_share_in_train: share of images that equal a training image, of the held-out part with most of them.
        min_gain: what the policy asks of a candidate, nats; the scale of limits on differences.
    """

    reload_difference: float | None
    sample_quality: SampleQuality | None
    champion_sample_quality: SampleQuality | None
    held_out_share_in_train: float | None = None
    min_gain: float = MIN_GAIN_NATS


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One verdict.

    Args:
        value: what was found; None if it was not measured or the gate does not apply.
        limit: what it was held to, in the unit of `value`.
    """

    name: str
    value: float | None
    limit: float
    passed: bool
    explanation: str


def of_worst_seed(
    name: str,
    candidate: Candidate,
    value_of: Callable[[ConfirmRow, ImageBounds], float | None],
    limit_of: Callable[[ConfirmRow, ImageBounds], float | None],
    what: str,
    *,
    at_least: bool = False,
) -> GateResult:
    """The verdict on the seed with the least room to its limit."""
    worst: tuple[float, float, float, int] | None = None  # room, value, limit, seed
    for row in candidate.complete:
        bounds = candidate.bounds[row.confirm_seed]
        value, limit = value_of(row, bounds), limit_of(row, bounds)
        if value is None or limit is None:
            return not_measured(name, 0.0 if limit is None else limit, f"seed {row.confirm_seed} does not tell")
        room = value - limit if at_least else limit - value
        if worst is None or room < worst[0]:
            worst = (room, value, limit, row.confirm_seed)
    if worst is None:
        return not_measured(name, 0.0, "no confirm run completed")
    room, value, limit, seed = worst
    bound = "at least" if at_least else "at most"
    return GateResult(
        name=name,
        value=value,
        limit=limit,
        passed=room >= 0,
        explanation=f"{value:.4g} {what}, {bound} {limit:.4g} (seed {seed}, the worst)",
    )


def baseline_nats(bounds: ImageBounds) -> float:
    """Mean -log p(x) of the latent-free model."""
    return float(bounds.baseline.mean())


def standard_error(values: np.ndarray) -> float:
    """Of the mean of (n,) values; 0 for a single one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def floor_nats(row: ConfirmRow) -> float | None:
    """Floor that no model can go below: the entropy of the images' binarisation; None if the row does not tell."""
    return None if row.neg_elbo is None or row.floor_excess is None else row.neg_elbo - row.floor_excess


def span_nats(bounds: ImageBounds) -> float:
    """By how much a model's bound is better than the latent-free baseline, nats per image."""
    return baseline_nats(bounds) - float(bounds.neg_elbo.mean())


def least_gain_nats(bounds: ImageBounds, min_gain: float) -> float:
    """Least gain that counts: what a candidate must be better by, or 0.05 % of the bound where that is more.

    Grey and coloured images cost thousands of nats where binarised ones cost hundreds; nobody counts a tenth there.
    """
    return max(min_gain, GAIN_SHARE * float(bounds.neg_elbo.mean()))


def in_standard_errors(differences: np.ndarray) -> float:
    """(n,) -> their mean over its standard error; without any spread, 0 or beyond every limit by its sign."""
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / np.sqrt(len(differences))
    return mean / float(error) if error > 0 else float(np.sign(mean)) * 1e9


def not_measured(name: str, limit: float, why: str) -> GateResult:
    """A gate without its measurement fails."""
    return GateResult(name=name, value=None, limit=limit, passed=False, explanation=f"not measured: {why}")


def not_applicable(name: str, limit: float, why: str) -> GateResult:
    """A gate that cannot apply passes."""
    return GateResult(name=name, value=None, limit=limit, passed=True, explanation=f"does not apply: {why}")
