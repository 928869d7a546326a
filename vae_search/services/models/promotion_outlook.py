"""Outlook of a promotion: who would ask, against which champion, and what keeps them from it, before anybody asks."""

from dataclasses import dataclass

from vae_search.errors import Conflict, CorruptStore, NotFound, VaeSearchError
from vae_search.registry.promotion.continuation.weights import with_weights
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import candidates
from vae_search.registry.state import ModelState
from vae_search.services.checks.promotion_rules import policy_of
from vae_search.services.models import champions
from vae_search.store.backends.base import Store
from vae_search.store.sweeps import beginning, sweep_record


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingFinalist:
    """One finalist that would ask.

    Args:
        candidate: `sweep/trial`.
        seeds: that testify.
        mean_neg_iwae: mean of their bounds on -log p(x), nats per judge image.
        judged: number of the entry of the model's log that has verdicts on exactly these runs; None if there is none.
    """

    candidate: str
    trial: int
    seeds: int
    mean_neg_iwae: float
    judged: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionOutlook:
    """Outlook of the finalists of a sweep that ask to become a model's champion.

    Args:
        model: None if neither the spec nor the caller names one.
        is_new: whether the store has no such model yet.
        champion: number of its version.
        champion_candidate: `sweep/trial` that it came from.
        needs_approval: whether who passes waits for somebody's yes.
        min_gain: nats by which the champion must be beaten at least.
        asking: in the order in which they ask; the first that passes all gates faces the champion.
        refusal: why nobody could ask; None if somebody can.
    """

    model: str | None
    is_new: bool
    champion: int | None
    champion_candidate: str | None
    needs_approval: bool
    min_gain: float
    asking: tuple[AskingFinalist, ...]
    refusal: str | None


def promotion_outlook(store: Store, sweep: str, *, model: str | None = None) -> PromotionOutlook:
    """Look at what asking would do; nothing is changed, and no image is read.

    Args:
        model: default: what the sweep's spec names.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record, or the model's log, is damaged.
    """
    spec = sweep_record.latest_spec(store, sweep)
    rules = policy_of(spec)
    name = model or (spec.promote.model if spec.promote else None)
    state = None if name is None else _state(store, name)
    asking, refusal = _asking(store, sweep, rules, state)
    champion = None if state is None else state.champion
    return PromotionOutlook(
        model=name,
        is_new=state is None,
        champion=champion,
        champion_candidate=None if state is None or champion is None else state.versions[champion].candidate,
        needs_approval=rules.needs_approval or (state is not None and state.needs_approval),
        min_gain=rules.min_gain,
        asking=asking,
        refusal=refusal,
    )


def _state(store: Store, model: str) -> ModelState | None:
    try:
        return champions.model_state(store, model)
    except NotFound:
        return None


def _asking(
    store: Store, sweep: str, rules: PromotionPolicy, state: ModelState | None
) -> tuple[tuple[AskingFinalist, ...], str | None]:
    """Those who would ask, or why nobody can."""
    from vae_search.data.comparability import METRIC_VERSION

    judged = {} if state is None else _judged(state)
    try:
        found = [with_weights(each, rules) for each in candidates(store, sweep)]
        if any(each.sha256 not in judged for each in found):  # they are measured, and by this program's metric
            beginning.check_metric(sweep_record.read(store, sweep), METRIC_VERSION)
    except (NotFound, Conflict, CorruptStore) as reason:
        return (), _first_line(reason)
    return tuple(
        AskingFinalist(
            candidate=f"{sweep}/{each.trial}",
            trial=each.trial,
            seeds=len(each.testifying),
            mean_neg_iwae=each.mean_neg_iwae,
            judged=judged.get(each.sha256),
        )
        for each in found
    ), None


def _judged(state: ModelState) -> dict[str | None, int]:
    """Number of the newest entry with verdicts, by the digest of the candidate's runs."""
    return {entry.candidate_sha256: number for number, entry in enumerate(state.entries, start=1) if entry.judged}


def _first_line(reason: VaeSearchError) -> str:
    return str(reason).splitlines()[0]
