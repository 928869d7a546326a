"""The health gates: what a candidate must be, whoever the champion is. Pure functions, all of them judged, all stored.

A limit is scaled by what it limits, so that it means the same on the next data set: what the model learned by its
*span* (how much better it is than the latent-free baseline), what the code does by its rate, differences between two
trainings by the least gain that counts; `gate_results` and `training_gates` say why. A gate on seeds is judged by the
worst of them. A gate without its measurement fails and says so; a gate that cannot apply (no champion to compare with,
too few epochs to see a regression) passes and says so. `GATES` at the end is the whole list.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vae_search.core.criteria import METRIC
from vae_search.core.image_bounds import ImageBounds
from vae_search.core.text import did_you_mean
from vae_search.errors import InvalidSpec
from vae_search.registry.promotion.data_gates import held_out_images_are_new
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import (
    GateInputs,
    GateResult,
    baseline_nats,
    floor_nats,
    in_standard_errors,
    not_applicable,
    not_measured,
    of_worst_seed,
    span_nats,
)
from vae_search.registry.promotion.training_gates import (
    code_matters,
    enough_active_units,
    generalises,
    no_final_regression,
    seeds_agree,
    uses_its_code,
    warm_up_finished,
)
from vae_search.store.ledger.confirm_runs import ConfirmRow

MIN_SEEDS = 3  # of candidate and champion; a contest takes no fewer
STANDARD_ERRORS = 2.0  # by which sample quality may be worse without counting as worse
ROUNDING_SHARE = 1e-6  # of the bound: single precision, summed over pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One line of the list: a gate's name, its limit if nobody sets another, and what the limit means."""

    name: str
    limit: float
    meaning: str
    judge: Callable[[Candidate, GateInputs, float], GateResult]


def judge(
    candidate: Candidate,
    facts: GateInputs,
    limits: Mapping[str, float],
    *,
    more_is_better: Collection[str] = (),
) -> tuple[GateResult, ...]:
    """The verdicts of all gates, in the order of the list; then of the metrics that have a limit, by name.

    Args:
        limits: by gate, instead of the list's own; see `checked_limits`.
        more_is_better: metrics that must be at least their limit; others at most.
    """
    listed = [gate.judge(candidate, facts, limits.get(gate.name, gate.limit)) for gate in GATES]
    metrics = [name for name in sorted(limits) if name.startswith(METRIC)]
    return (
        *listed,
        *(metric_holds(name, candidate, limits[name], at_least=name in more_is_better) for name in metrics),
    )


def metric_holds(name: str, candidate: Candidate, limit: float, *, at_least: bool) -> GateResult:
    """A metric of the spec on judge images, of the worst seed."""
    what = f"{name} on judge images"
    return of_worst_seed(
        name, candidate, lambda row, _: row.metrics.get(name), lambda *_: limit, what, at_least=at_least
    )


def checked_limits(limits: Mapping[str, float]) -> dict[str, float]:
    """`limits` as they are, if they can be used.

    Raises:
        InvalidSpec: A name is no gate's, a limit is not finite, or fewer seeds are asked for than a contest needs.
    """
    names = [gate.name for gate in GATES]
    problems = [
        f"promote.limits: no gate is called {n!r:.80}. {did_you_mean(n, names)}"
        for n in limits
        if n not in names and not n.startswith(METRIC)
    ]
    problems += [f"promote.limits.{n}: must be finite, but got {v}." for n, v in limits.items() if not np.isfinite(v)]
    if limits.get("seeds", MIN_SEEDS) < MIN_SEEDS:
        problems.append(
            f"promote.limits.seeds: must be >= {MIN_SEEDS}, which a contest needs, but got {limits['seeds']}."
        )
    if problems:
        raise InvalidSpec(*problems)
    return dict(limits)


def enough_seeds(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """One lucky seed proves nothing; the contest needs the spread of several."""
    count = len(candidate.testifying)
    chosen_by = len(candidate.complete) - count
    explanation = f"{count} confirm runs completed" + (", beside the one that it was chosen by" if chosen_by else "")
    return GateResult(name="seeds", value=count, limit=limit, passed=count >= limit, explanation=explanation)


def every_seed_completed(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
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


def finite(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """No gradient was NaN or infinite in any step."""
    return of_worst_seed(
        "finite", candidate, lambda row, _: row.skipped_steps, lambda *_: limit, "steps were not finite"
    )


def learned(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Better than pixels without latents, by a share of what is possible: the baseline's distance to the floor."""

    def least(row: ConfirmRow, bounds: ImageBounds) -> float | None:
        floor = floor_nats(row)
        return None if floor is None else limit * (baseline_nats(bounds) - floor)

    return of_worst_seed(
        "learned", candidate, lambda _, bounds: span_nats(bounds), least, "nats better than no latents", at_least=True
    )


def bound_is_sane(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """L_1 ≤ L_K in expectation (Burda et al. 2016, theorem 1): a clear violation is a mistake in the program."""

    def excess(_: ConfirmRow, bounds: ImageBounds) -> float:
        return in_standard_errors(-bounds.neg_elbo - bounds.iwae)

    return of_worst_seed("bound", candidate, excess, lambda *_: limit, "standard errors by which ELBO exceeds IWAE")


def above_the_floor(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """No model of binarised images is better than the noise that binarised them: else the pixels were not binary."""

    def below(row: ConfirmRow, bounds: ImageBounds) -> float | None:
        floor = floor_nats(row)
        return None if floor is None else in_standard_errors(floor - bounds.neg_iwae)

    return of_worst_seed("floor", candidate, below, lambda *_: limit, "standard errors below what is possible")


def reloads(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Reload: what is served scores as judged, within the limit in nats or a millionth of the bound if that is more."""
    difference = facts.reload_difference
    if difference is None:
        text = "the artifact cannot be loaded in a fresh process"
        return GateResult(name="reload", value=None, limit=limit, passed=False, explanation=text)
    bound = max((float(bounds.neg_elbo.mean()) for bounds in candidate.bounds.values()), default=0.0)
    most = max(limit, ROUNDING_SHARE * bound)
    return GateResult(
        name="reload",
        value=abs(difference),
        limit=most,
        passed=abs(difference) <= most,
        explanation=f"{abs(difference):.3g} nats from the recorded bound, loaded in a fresh process",
    )


def samples_as_well(candidate: Candidate, facts: GateInputs, limit: float) -> GateResult:
    """Likelihood does not speak for samples (Theis et al. 2016): these may not be worse than the champion's."""
    ours, theirs = facts.sample_quality, facts.champion_sample_quality
    if ours is None:
        return not_measured("sample_quality", limit, "no samples were compared")
    if theirs is None:
        return not_applicable("sample_quality", limit, f"no champion to compare with; {ours.metric} {ours.value:.4g}")
    if ours.metric != theirs.metric:
        return not_measured("sample_quality", limit, f"the champion has {theirs.metric}, the candidate {ours.metric}")
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
    Gate(
        name="active_units",
        limit=2,
        meaning="active latent units, at least; 1 of 1 is enough",
        judge=enough_active_units,
    ),
    Gate(
        name="shuffle_gap",
        limit=0.5,
        meaning="nats lost with a foreign code, share of the rate, at least",
        judge=code_matters,
    ),
    Gate(name="warm_up", limit=1, meaning="epochs after KL warm-up, at least", judge=warm_up_finished),
    Gate(
        name="regression",
        limit=3,
        meaning="nats above the best epochs at the end, times the least gain, at most",
        judge=no_final_regression,
    ),
    Gate(
        name="generalisation",
        limit=0.02,
        meaning="gap to training images beyond its noise, share of span, at most",
        judge=generalises,
    ),
    Gate(
        name="seed_spread",
        limit=2,
        meaning="standard error over seeds, times the least gain, at most",
        judge=seeds_agree,
    ),
    Gate(name="duplicates", limit=0.01, meaning="held-out images in training, share", judge=held_out_images_are_new),
    Gate(name="reload", limit=1e-3, meaning="nats of difference in a fresh process, at most", judge=reloads),
    Gate(name="sample_quality", limit=0.10, meaning="worse than the champion by this share", judge=samples_as_well),
)
