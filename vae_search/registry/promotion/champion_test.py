"""Welch's test of a candidate against the champion: a pure function of their bounds on the same judge images."""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from vae_search.errors import Conflict
from vae_search.registry.promotion.evidence import Evidence
from vae_search.registry.promotion.gates import MIN_SEEDS

CONFIDENCE = 0.95  # two-sided; a promotion needs the whole interval above 0, so equals pass in at most 2.5 of 100
MIN_GAIN_NATS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate in nats with its two-sided interval at `CONFIDENCE`."""

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestResult:
    """By how much the candidate is better, in nats per image, and whether that is enough.

    Args:
        over_seeds: of the configs, from all their seeds.
        of_artifact: of the two artifacts' weights, image by image.
        reasons: why the champion stays, one sentence per clause that failed; empty if the candidate wins.
    """

    over_seeds: Interval
    of_artifact: Interval
    min_gain: float
    reasons: tuple[str, ...]

    @property
    def won(self) -> bool:
        """True if the candidate is to be promoted."""
        return not self.reasons


def champion_test(candidate: Evidence, champion: Evidence, *, min_gain: float = MIN_GAIN_NATS) -> ContestResult:
    """Hold the candidate against the champion.

    It wins if all of this holds; each clause alone would be fooled: (a) over seeds and images its mean bound is better
    by an interval above 0, or a lucky seed would win; (b) so are the very weights that would be served; (c) the gain is
    worth a change.

    Raises:
        Conflict: They were not judged on the same images and by the same bound, or one has fewer than three seeds.
    """
    _check_comparable(candidate, champion)
    over_seeds = welch_over_seeds(_neg_iwae(candidate), _neg_iwae(champion))
    of_artifact = mean_interval(champion.artifact.neg_iwae - candidate.artifact.neg_iwae)
    reasons = []
    if over_seeds.low <= 0:
        reasons.append(f"over seeds the gain is {_shown(over_seeds)} nats, which must lie above 0")
    if of_artifact.low <= 0:
        reasons.append(f"the artifact's own gain is {_shown(of_artifact)} nats, which must lie above 0")
    if over_seeds.estimate < min_gain:
        reasons.append(f"the gain is {over_seeds.estimate:.3f} nats, which must be at least {min_gain:g}")
    return ContestResult(over_seeds=over_seeds, of_artifact=of_artifact, min_gain=min_gain, reasons=tuple(reasons))


def welch_over_seeds(candidate: np.ndarray, champion: np.ndarray) -> Interval:
    """The champion's mean minus the candidate's, of values (seeds, images) each, on the same images.

    With m the mean over images of a seed, s² its sample variance over the n seeds of a side, and d the difference of
    the sides' means over seeds on one of N images,

        SE² = s²_c / n_c + s²_h / n_h + var(d) / N

    and the degrees of freedom are SE⁴ / Σ (term² / its own degrees of freedom). The first two terms are Welch's test
    ("The generalization of 'Student's' problem when several different population variances are involved", Biometrika
    34, 1947); the third lets the images be a sample, too. A sum of independent mean squares has about a chi-squared
    law with these degrees of freedom (Satterthwaite, "An approximate distribution of estimates of variance
    components", Biometrics Bulletin 2, 1946). What a seed does to single images is in all three terms: the interval is
    a little too wide, never too narrow.
    """
    sides = (candidate, champion)
    terms = [float(side.mean(axis=1).var(ddof=1)) / len(side) for side in sides]
    own_degrees = [len(side) - 1 for side in sides]
    per_image = champion.mean(axis=0) - candidate.mean(axis=0)
    terms.append(float(per_image.var(ddof=1)) / len(per_image))
    own_degrees.append(len(per_image) - 1)
    variance = sum(terms)
    shares = sum(term**2 / degrees for term, degrees in zip(terms, own_degrees, strict=True))
    return _interval(float(per_image.mean()), variance, variance**2 / shares if shares > 0 else sum(own_degrees))


def mean_interval(values: np.ndarray) -> Interval:
    """The mean of (n,) values with Student's interval ("The probable error of a mean", Biometrika 6, 1908)."""
    return _interval(float(values.mean()), float(values.var(ddof=1)) / len(values), len(values) - 1)


def _interval(estimate: float, variance: float, degrees_of_freedom: float) -> Interval:
    error = float(np.sqrt(variance))
    half = error * float(stdtrit(degrees_of_freedom, 0.5 + CONFIDENCE / 2))
    return Interval(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        standard_error=error,
        degrees_of_freedom=float(degrees_of_freedom),
    )


def _check_comparable(candidate: Evidence, champion: Evidence) -> None:
    key = champion.comparability_key
    for what, ours, theirs in (
        ("comparability key", key if key in candidate.keys_judged_alike else candidate.comparability_key, key),
        ("number of judge images", candidate.images, champion.images),
        ("iwae_k", candidate.iwae_k, champion.iwae_k),
    ):
        if ours != theirs:
            raise Conflict(
                f"candidate and champion were judged differently: {what} {ours!s:.12} against {theirs!s:.12}; their "
                "bounds cannot be compared.\nJudge both on the same images, or promote into another model."
            )
    for side, who in ((candidate, "candidate"), (champion, "champion")):
        if len(side.bounds) < MIN_SEEDS:
            raise Conflict(
                f"the {who} has {len(side.bounds)} confirmed seeds, but a contest needs {MIN_SEEDS}. Confirm more."
            )


def _neg_iwae(evidence: Evidence) -> np.ndarray:
    return np.stack([bounds.neg_iwae for _, bounds in sorted(evidence.bounds.items())])


def _shown(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
