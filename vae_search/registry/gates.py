"""The health gates: what a candidate must be, whoever the champion is. Pure functions, all of them judged, all stored.

Limits that nats would not carry from one data set to the next are shares of the *span*: by how much the candidate is
better than the latent-free baseline. A gate on seeds is judged by the worst of them. A gate without its measurement
fails and says so; a gate that cannot apply (no champion to compare with, too few epochs to see a regression) passes and
says so. `GATES` at the end is the whole list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vae_search.config import Config
from vae_search.errors import InvalidSpec
from vae_search.problems import did_you_mean
from vae_search.registry.evidence import Candidate
from vae_search.store.finalists import FinalistRow
from vae_search.store.per_image import PerImageBounds

MIN_SEEDS = 3  # of candidate and champion; a contest takes no fewer
STANDARD_ERRORS = 2.0  # by which sample quality may be worse without counting as worse


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleQuality:
    """How far generated images are from real ones; lower is better.

    Args:
        metric: its name, which includes whatever else it depends on; only equal names are compared.
    """

    metric: str
    value: float
    standard_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was measured for the gates beside the confirm runs; None where it was not.

    Args:
        reload_difference: by how much the mean bound of the artifact, loaded anew in a fresh process, differs from the
            recorded one; nats per image.
        sample_quality: of the candidate's artifact.
        champion_sample_quality: of the champion's; None if there is no champion.
    """

    reload_difference: float | None
    sample_quality: SampleQuality | None
    champion_sample_quality: SampleQuality | None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One line of the list: a gate's name, its limit if nobody sets another, and what the limit means."""

    name: str
    limit: float
    meaning: str
    judge: Callable[[Candidate, Facts, float], GateResult]


def judge(candidate: Candidate, facts: Facts, limits: Mapping[str, float]) -> tuple[GateResult, ...]:
    """The verdicts of all gates, in the order of the list.

    Args:
        limits: by gate, instead of the list's own; see `checked_limits`.
    """
    return tuple(gate.judge(candidate, facts, limits.get(gate.name, gate.limit)) for gate in GATES)


def checked_limits(limits: Mapping[str, float]) -> dict[str, float]:
    """`limits` as they are, if they can be used.

    Raises:
        InvalidSpec: A name is no gate's, a limit is not finite, or fewer seeds are asked for than a contest needs.
    """
    names = [gate.name for gate in GATES]
    problems = [
        f"promote.limits: no gate is called {n!r:.80}. {did_you_mean(n, names)}" for n in limits if n not in names
    ]
    problems += [f"promote.limits.{n}: must be finite, but got {v}." for n, v in limits.items() if not np.isfinite(v)]
    if limits.get("seeds", MIN_SEEDS) < MIN_SEEDS:
        problems.append(
            f"promote.limits.seeds: must be >= {MIN_SEEDS}, which a contest needs, but got {limits['seeds']}."
        )
    if problems:
        raise InvalidSpec(*problems)
    return dict(limits)


def baseline_nats(bounds: PerImageBounds) -> float:
    """Mean -log p(x) of the latent-free model."""
    return float(bounds.baseline.mean())


def floor_nats(row: FinalistRow) -> float | None:
    """What no model can go below: the entropy of the images' binarisation; None if the row does not tell."""
    return None if row.neg_elbo is None or row.floor_excess is None else row.neg_elbo - row.floor_excess


def span_nats(bounds: PerImageBounds) -> float:
    """By how much a model's bound is better than the latent-free baseline, nats per image."""
    return baseline_nats(bounds) - float(bounds.neg_elbo.mean())


def enough_seeds(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """One lucky seed proves nothing; the contest needs the spread of several."""
    count = len(candidate.complete)
    return GateResult(
        name="seeds", value=count, limit=limit, passed=count >= limit, explanation=f"{count} confirm runs completed"
    )


def every_seed_completed(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """A config that diverges with one seed in so many will diverge for its users."""
    failed = [row for row in candidate.rows if row not in candidate.complete]
    causes = ", ".join(f"seed {row.confirm_seed}: {row.reason}" for row in failed)
    return GateResult(
        name="completed",
        value=len(failed),
        limit=limit,
        passed=len(failed) <= limit,
        explanation=f"{len(failed)} of {len(candidate.rows)} confirm runs failed{causes and f' ({causes})'}",
    )


def finite(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """No gradient was NaN or infinite in any step."""
    return _of_seeds("finite", candidate, lambda row, _: row.skipped_steps, lambda *_: limit, "steps were not finite")


def learned(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Better than pixels without latents, by a share of what is possible: the baseline's distance to the floor."""

    def least(row: FinalistRow, bounds: PerImageBounds) -> float | None:
        floor = floor_nats(row)
        return None if floor is None else limit * (baseline_nats(bounds) - floor)

    return _of_seeds(
        "learned", candidate, lambda _, bounds: span_nats(bounds), least, "nats better than no latents", at_least=True
    )


def bound_is_sane(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """L_1 ≤ L_K in expectation (Burda et al. 2016, theorem 1): a clear violation is a mistake in the program."""

    def excess(_: FinalistRow, bounds: PerImageBounds) -> float:
        return _in_standard_errors(-bounds.neg_elbo - bounds.iwae)

    return _of_seeds("bound", candidate, excess, lambda *_: limit, "standard errors by which ELBO exceeds IWAE")


def above_the_floor(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """No model of binarised images is better than the noise that binarised them: else the pixels were not binary."""

    def below(row: FinalistRow, bounds: PerImageBounds) -> float | None:
        floor = floor_nats(row)
        return None if floor is None else _in_standard_errors(floor - bounds.neg_iwae)

    return _of_seeds("floor", candidate, below, lambda *_: limit, "standard errors below what is possible")


def uses_its_code(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Not collapsed: the posterior says something about its image (KL in nats per image)."""
    return _of_seeds(
        "rate", candidate, lambda _, bounds: float(bounds.rate.mean()), lambda *_: limit, "nats", at_least=True
    )


def enough_active_units(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Not collapsed: latents whose mean moves from image to image (Burda et al. 2016, §5, variance above 0.01)."""
    return _of_seeds(
        "active_units", candidate, lambda row, _: row.active_units, lambda *_: limit, "active units", at_least=True
    )


def code_matters(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Not collapsed: with another image's code the decoder does clearly worse, in nats of distortion."""
    return _of_seeds(
        "shuffle_gap",
        candidate,
        lambda row, _: row.shuffle_gap,
        lambda _, bounds: limit * span_nats(bounds),
        "nats lost with another image's code",
        at_least=True,
    )


def warm_up_finished(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Trained with the full weight of the KL, not only on the way to it."""

    def epochs_after(row: FinalistRow, _: PerImageBounds) -> int:
        return row.epochs - Config.from_params(row.params).kl_warmup_epochs

    return _of_seeds("warm_up", candidate, epochs_after, lambda *_: limit, "epochs after warm-up", at_least=True)


def no_final_regression(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """The weights of the end are about as good as those of the best epoch (part A of the instability)."""
    if candidate.complete and all(row.instability is None for row in candidate.complete):
        return _not_applicable("regression", limit, "too few epochs after warm-up to tell")
    return _of_seeds(
        "regression", candidate, lambda row, _: row.instability_regression, lambda *_: limit, "nats lost at the end"
    )


def generalises(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Training images are not explained much better than held-out ones."""
    return _of_seeds(
        "generalisation",
        candidate,
        lambda row, _: row.generalisation_gap,
        lambda _, bounds: limit * span_nats(bounds),
        "nats between training and held-out images",
    )


def seeds_agree(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Sample standard deviation over seeds of the mean bound on -log p(x), against the mean span."""
    bounds = list(candidate.bounds.values())
    if len(bounds) < 2:
        return _not_measured("seed_spread", limit, "one seed has no spread")
    spread = float(np.std([of.neg_iwae.mean() for of in bounds], ddof=1))
    most = limit * float(np.mean([span_nats(of) for of in bounds]))
    explanation = f"{spread:.3g} nats between {len(bounds)} seeds, at most {most:.3g}"
    return GateResult(name="seed_spread", value=spread, limit=most, passed=spread <= most, explanation=explanation)


def reloads(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """What is served is what was judged."""
    difference = facts.reload_difference
    if difference is None:
        return _not_measured("reload", limit, "the artifact was not loaded anew")
    return GateResult(
        name="reload",
        value=abs(difference),
        limit=limit,
        passed=abs(difference) <= limit,
        explanation=f"{abs(difference):.3g} nats from the recorded bound, loaded in a fresh process",
    )


def samples_as_well(candidate: Candidate, facts: Facts, limit: float) -> GateResult:
    """Likelihood does not speak for samples (Theis et al. 2016): these may not be worse than the champion's."""
    ours, theirs = facts.sample_quality, facts.champion_sample_quality
    if ours is None:
        return _not_measured("sample_quality", limit, "no samples were compared")
    if theirs is None:
        return _not_applicable("sample_quality", limit, f"no champion to compare with; {ours.metric} {ours.value:.4g}")
    if ours.metric != theirs.metric:
        return _not_measured("sample_quality", limit, f"the champion has {theirs.metric}, the candidate {ours.metric}")
    noise = STANDARD_ERRORS * float(np.hypot(ours.standard_error, theirs.standard_error))
    allowed, worse = max(limit * theirs.value, noise), ours.value - theirs.value
    return GateResult(
        name="sample_quality",
        value=worse,
        limit=allowed,
        passed=worse <= allowed,
        explanation=f"{ours.metric} {ours.value:.4g}, the champion's {theirs.value:.4g}",
    )


GATES: Sequence[Gate] = (
    Gate(name="seeds", limit=MIN_SEEDS, meaning="completed confirm runs, at least", judge=enough_seeds),
    Gate(name="completed", limit=0, meaning="confirm runs that failed, at most", judge=every_seed_completed),
    Gate(name="finite", limit=0, meaning="steps with a gradient that was not finite, at most", judge=finite),
    Gate(name="learned", limit=0.10, meaning="span over the baseline's distance to the floor, at least", judge=learned),
    Gate(name="bound", limit=3, meaning="standard errors by which ELBO exceeds IWAE-K, at most", judge=bound_is_sane),
    Gate(name="floor", limit=3, meaning="standard errors below the floor, at most", judge=above_the_floor),
    Gate(name="rate", limit=1, meaning="nats of KL per image, at least", judge=uses_its_code),
    Gate(name="active_units", limit=2, meaning="active latent units, at least", judge=enough_active_units),
    Gate(name="shuffle_gap", limit=0.05, meaning="distortion of a foreign code, share of span", judge=code_matters),
    Gate(name="warm_up", limit=1, meaning="epochs after KL warm-up, at least", judge=warm_up_finished),
    Gate(
        name="regression", limit=1, meaning="nats above the best epoch at the end, at most", judge=no_final_regression
    ),
    Gate(name="generalisation", limit=0.05, meaning="gap to training images, share of span", judge=generalises),
    Gate(name="seed_spread", limit=0.01, meaning="standard deviation over seeds, share of span", judge=seeds_agree),
    Gate(name="reload", limit=1e-3, meaning="nats of difference in a fresh process, at most", judge=reloads),
    Gate(name="sample_quality", limit=0.10, meaning="worse than the champion by this share", judge=samples_as_well),
)


def _of_seeds(
    name: str,
    candidate: Candidate,
    value_of: Callable[[FinalistRow, PerImageBounds], float | None],
    limit_of: Callable[[FinalistRow, PerImageBounds], float | None],
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
            return _not_measured(name, 0.0 if limit is None else limit, f"seed {row.confirm_seed} does not tell")
        room = value - limit if at_least else limit - value
        if worst is None or room < worst[0]:
            worst = (room, value, limit, row.confirm_seed)
    if worst is None:
        return _not_measured(name, 0.0, "no confirm run completed")
    room, value, limit, seed = worst
    bound = "at least" if at_least else "at most"
    return GateResult(
        name=name,
        value=value,
        limit=limit,
        passed=room >= 0,
        explanation=f"{value:.4g} {what}, {bound} {limit:.4g} (seed {seed}, the worst)",
    )


def _in_standard_errors(differences: np.ndarray) -> float:
    """(n,) -> their mean over its standard error; without any spread, 0 or beyond every limit by its sign."""
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / np.sqrt(len(differences))
    return mean / float(error) if error > 0 else float(np.sign(mean)) * 1e9


def _not_measured(name: str, limit: float, why: str) -> GateResult:
    return GateResult(name=name, value=None, limit=limit, passed=False, explanation=f"not measured: {why}")


def _not_applicable(name: str, limit: float, why: str) -> GateResult:
    return GateResult(name=name, value=None, limit=limit, passed=True, explanation=f"does not apply: {why}")
