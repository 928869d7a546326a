"""Welch's test of a candidate against the champion: a pure function of their bounds on the same judge images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import nctdtr, stdtrit

from vae_search.errors import Conflict
from vae_search.registry.promotion.evidence import Evidence
from vae_search.registry.promotion.gate_results import MIN_GAIN_NATS
from vae_search.registry.promotion.gates import MIN_SEEDS
from vae_search.registry.state import Turn

CONFIDENCE = 0.95  # two-sided, of intervals that people read and of the artifact's own gain
LIFE_LEVEL = 0.05  # in so many of 100 cases at most is a champion replaced by its equals, however many contests it has
POWER_AT_NATS = (0.25, 0.5)
FIRST = Turn()
SAME_SEEDS = (
    "The champion's weights are of these very seeds, and a run has gone on from one of them since: the config is the "
    "same, and the weights alone were compared."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate in nats with its two-sided interval, at `CONFIDENCE` where nothing else is said."""

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees_of_freedom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestResult:
    """By how much the candidate is better, in nats per image, and whether that is enough.

    Args:
        over_seeds: of the configs, from all their seeds that testify; at the confidence 1 - 2 · `level`.
        of_artifact: of the two artifacts' weights, image by image; at that confidence if they alone decide.
        reasons: why the champion stays, one sentence per clause that failed; empty if the candidate wins.
        number: of the champion's contests, counted from 1; older versions of this program did not count them.
        level: one-sided, of this contest alone; see `level_of`.
        power: by true gain in nats, how probable a promotion was at this spread of seeds; empty if not known.
        remarks: what a reader should know beside it, one sentence each.
        same_seeds: whether both have the same seeds, so that the weights alone decide.
    """

    over_seeds: Interval
    of_artifact: Interval
    min_gain: float
    reasons: tuple[str, ...]
    number: int = 1
    level: float = LIFE_LEVEL / 2
    power: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    same_seeds: bool = False

    @property
    def won(self) -> bool:
        """True if the candidate is to be promoted."""
        return not self.reasons


def level_of(step: int) -> float:
    """One-sided level of a contest at step k of its champion's budget, k from 1: α / (k (k + 1)), α = `LIFE_LEVEL`.

    Alpha spending: after k steps α k / (k + 1) is spent, and all of them together spend α (Lan and DeMets, "Discrete
    sequential boundaries for clinical trials", Biometrika 70, 1983). Sweeps that follow one another, and a candidate
    that asks again with each added seed, draw from the same budget.

    A contest in which the candidate looks no better (one-sided p ≥ 1/2) is discarded and costs no step, or many
    hopeless challengers would use the budget up (Tian and Ramdas, "Online control of the familywise error rate",
    Statistical Methods in Medical Research 30, 2021). For independent contests their theorem wants half of these
    levels. The contests of a champion are not: they share its record, so that false promotions crowd into few models;
    in simulated lives of equals at most α of the models have one (`benchmarks/contest_lives.py`).

    A new champion begins anew, as in the rule of levels based on recent discovery (LORD; Javanmard and Montanari,
    "Online rules for control of false discovery rate and false discovery exceedance", Annals of Statistics 46, 2018).
    """
    return LIFE_LEVEL / (step * (step + 1))


def champion_test(
    candidate: Evidence,
    champion: Evidence,
    *,
    turn: Turn = FIRST,
    min_gain: float = MIN_GAIN_NATS,
    same_seeds: bool = False,
) -> ContestResult:
    """Hold the candidate against the champion.

    It wins if all of this holds; each clause alone would be fooled: (a) over seeds and images its mean bound is better
    by an interval above 0, or a lucky seed would win; (b) so are the very weights that would be served; (c) the gain is
    worth a change.

    All three must hold, so the level of (a) is the contest's: (b) and (c) can only lower it.

    Args:
        turn: among the champion's contests.
        same_seeds: whether the champion has weights of the candidate's very seeds, from one of which a run has gone on
            since. The seeds then say nothing of which is better: (b) decides, at the level of the contest, and the gain
            of (c) is that of the weights.

    Raises:
        Conflict: They were not judged on the same images and by the same bound, or one has fewer than three seeds.
    """
    _check_comparable(candidate, champion)
    level = level_of(turn.step)
    confidence = 1 - 2 * level
    over_seeds = welch_over_seeds(_neg_iwae(candidate), _neg_iwae(champion), confidence=confidence)
    gains = champion.artifact.neg_iwae - candidate.artifact.neg_iwae
    of_artifact = mean_interval(gains, confidence=confidence if same_seeds else CONFIDENCE)
    gain = of_artifact if same_seeds else over_seeds
    asked = f"the {100 * confidence:.6g} % interval of contest {turn.number}"
    reasons = []
    if over_seeds.low <= 0 and not same_seeds:
        reasons.append(f"over seeds the gain is {_shown(over_seeds)} nats, and {asked} must lie above 0")
    if of_artifact.low <= 0:
        held_to = f"and {asked}" if same_seeds else "which"
        reasons.append(f"the artifact's own gain is {_shown(of_artifact)} nats, {held_to} must lie above 0")
    if gain.estimate < min_gain:
        reasons.append(f"the gain is {gain.estimate:.3f} nats, which must be at least {min_gain:g}")
    asked_for = () if same_seeds else POWER_AT_NATS
    return ContestResult(
        over_seeds=over_seeds,
        of_artifact=of_artifact,
        min_gain=min_gain,
        reasons=tuple(reasons),
        number=turn.number,
        level=level,
        power={f"{each:g}": power(over_seeds, level=level, gain=each, min_gain=min_gain) for each in asked_for},
        remarks=(SAME_SEEDS,) if same_seeds else tuple(_remarks(candidate, champion)),
        same_seeds=same_seeds,
    )


def power(over_seeds: Interval, *, level: float, gain: float, min_gain: float = MIN_GAIN_NATS) -> float:
    """Probability that a true `gain` in nats passes clauses (a) and (c), if seeds spread as was observed.

    The estimate over its standard error has the noncentral t distribution (Johnson and Welch, "Applications of the
    non-central t-distribution", Biometrika 31, 1940). Clause (b) is left out: it takes little more away.
    """
    error, degrees = over_seeds.standard_error, over_seeds.degrees_of_freedom
    if error == 0:
        return float(gain > 0 and gain >= min_gain)
    least = max(float(stdtrit(degrees, 1 - level)), min_gain / error)
    return 1.0 - float(nctdtr(degrees, gain / error, least))


def welch_over_seeds(candidate: np.ndarray, champion: np.ndarray, *, confidence: float = CONFIDENCE) -> Interval:
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
    degrees = variance**2 / shares if shares > 0 else float(sum(own_degrees))
    return _interval(float(per_image.mean()), variance, degrees, confidence=confidence)


def mean_interval(values: np.ndarray, *, confidence: float = CONFIDENCE) -> Interval:
    """The mean of (n,) values with Student's interval ("The probable error of a mean", Biometrika 6, 1908)."""
    variance = float(values.var(ddof=1)) / len(values)
    return _interval(float(values.mean()), variance, len(values) - 1, confidence=confidence)


def _interval(estimate: float, variance: float, degrees_of_freedom: float, *, confidence: float) -> Interval:
    error = float(np.sqrt(variance))
    half = error * float(stdtrit(degrees_of_freedom, 0.5 + confidence / 2))
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
        if len(side.testimony) < MIN_SEEDS:
            raise Conflict(
                f"the {who} has {len(side.testimony)} confirmed seeds, but a contest needs {MIN_SEEDS}. Confirm more."
            )


def _neg_iwae(evidence: Evidence) -> np.ndarray:
    return np.stack([bounds.neg_iwae for bounds in evidence.testimony.values()])


def _remarks(candidate: Evidence, champion: Evidence) -> Iterator[str]:
    repeated = len(candidate.trainings & champion.trainings)
    if repeated:
        yield (
            f"{repeated} of the candidate's {len(candidate.testimony)} trainings are the champion's own: one config, "
            "with the same random seeds. They replicate nothing; another `seed` in the spec would."
        )
    if champion.remark:
        yield champion.remark


def _shown(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
