"""Choice between a fresh seed's weights and those of the run that went on from it. Pure.

The run that went on was chosen by select images, as its seed was, so what its weights score on judge images flatters
nobody. But it is one training, longer than those of the seeds: it says nothing of the spread, and takes no seat among
those that testify. Gates and contest hear the seeds, all of one length; the served weights are held to the gates that
are about weights, and in the contest to the clause that compares the very weights, image by image.
"""

from dataclasses import replace

from vae_search.core.criteria import METRIC
from vae_search.registry.promotion.continuation.continued import Continued
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs
from vae_search.registry.promotion.gates import judge
from vae_search.store.ledger.confirm_runs import ConfirmRow

WEIGHT_GATES = frozenset(
    {
        *("finite", "learned", "bound", "floor", "rate", "active_units", "shuffle_gap"),
        *("warm_up", "regression", "generalisation"),
    }
)
"""gates on one training and its weights; the others are about several seeds, or are measured on what is exported"""


def with_weights(candidate: Candidate, rules: PromotionPolicy) -> Candidate:
    """The candidate, with the decision whether the weights of the run that went on are those to be served."""
    continued, origin = candidate.continued, candidate.continued_from
    if continued is None or origin is None:
        return candidate
    return replace(candidate, continued=replace(continued, refusal=_refusal(continued, origin, rules)))


def _refusal(continued: Continued, origin: ConfirmRow, rules: PromotionPolicy) -> str:
    if continued.bounds is None:
        return "it has failed"
    row = continued.row
    if row.neg_elbo is None or origin.neg_elbo is None or row.neg_elbo >= origin.neg_elbo:
        return f"it is no better on select images: {row.neg_elbo} nats, its seed {origin.neg_elbo}"
    alone = Candidate(rows=(row,), bounds={row.confirm_seed: continued.bounds})
    facts = GateInputs(
        reload_difference=None, sample_quality=None, champion_sample_quality=None, min_gain=rules.min_gain
    )
    verdicts = judge(alone, facts, rules.limits, more_is_better=rules.more_is_better)
    failed = [
        f"gate {gate.name}: {gate.explanation}"
        for gate in verdicts
        if not gate.passed and (gate.name in WEIGHT_GATES or gate.name.startswith(METRIC))
    ]
    return "; ".join(failed)
