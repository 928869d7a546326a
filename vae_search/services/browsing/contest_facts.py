"""Facts of a contest for its picture: both sides seed by seed, with intervals, and the difference that decided."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_search.errors import CorruptStore, NotFound
from vae_search.registry.log import Entry
from vae_search.registry.promotion.champion_record import silent_seeds
from vae_search.registry.promotion.champion_test import CONFIDENCE, Interval, mean_interval
from vae_search.registry.promotion.decision import PromotionDecision
from vae_search.registry.promotion.evidence import content_sha256
from vae_search.registry.state import ModelState
from vae_search.registry.version_table import recorded_card
from vae_search.services.payloads import Facts
from vae_search.store.backends.base import Store
from vae_search.store.ledger.confirm_runs import ConfirmRuns, best_on_select, selecting_seed, testifying


def contest_facts(store: Store, state: ModelState, number: int) -> Facts:
    """Verdicts of one entry of a model's log, and what a picture of its contest needs.

    Args:
        number: of the entry, from 1.

    Returns:
        `gates`: a row for each. `candidate` and `champion`: sides as of `_side`; None where nothing is left of one, or
        there was no champion. `difference`: by how much the candidate's mean is lower, with an interval that must lie
        above 0; `of_artifact`: the same of the weights themselves, which alone decide where both have the `same_seeds`.
        `contest`: its number, level, power and remarks.

    Raises:
        NotFound: There is no such entry, or nobody was judged in it.
        CorruptStore: A card is damaged.
    """
    entry = state.entries[number - 1] if 1 <= number <= len(state.entries) else None
    if entry is None or not entry.judged:
        raise NotFound(f"model {state.model}: entry {number} of its log has no verdicts.")
    ruling = PromotionDecision.of(entry)
    contest = ruling.contest
    confidence = CONFIDENCE if contest is None else 1 - 2 * contest.level
    champion = None if contest is None or entry.champion is None else entry.champion
    return {
        "model": state.model,
        "entry": number,
        "at": entry.at.isoformat(),
        "unit": "nats per image",  # of -log p(x) on judge images; lower is better
        "passed": not ruling.reasons,
        "reasons": list(ruling.reasons),
        "gates": gate_facts(ruling),
        "candidate": _candidate_side(store, state, entry),
        "champion": None if champion is None else _version_side(store, state, champion),
        "difference": None if contest is None else _interval(contest.over_seeds, confidence=confidence),
        "of_artifact": None
        if contest is None
        else _interval(contest.of_artifact, confidence=confidence if contest.same_seeds else CONFIDENCE),
        "contest": None
        if contest is None
        else {
            "number": contest.number,
            "level": contest.level,
            "min_gain": contest.min_gain,
            "same_seeds": contest.same_seeds,
            "power": dict(contest.power),
            "remarks": list(contest.remarks),
        },
    }


def gate_facts(ruling: PromotionDecision) -> list[Facts]:
    """Rows of a table of gates: name, value and limit in the gate's own unit, whether it passed, and why."""
    return [
        {
            "name": gate.name,
            "value": gate.value,
            "limit": gate.limit,
            "passed": gate.passed,
            "explanation": gate.explanation,
        }
        for gate in ruling.gates
    ]


def _candidate_side(store: Store, state: ModelState, entry: Entry) -> Facts | None:
    """The candidate of an entry: from its version's card, else from its sweep, if that still has the same runs."""
    for version in state.versions_of(entry.candidate_sha256 or ""):
        if version.manifest_sha256 is not None:
            return _version_side(store, state, version.number)
    sweep, _, trial = (entry.candidate or "").rpartition("/")
    try:
        found = ConfirmRuns(store, sweep).read()
    except (NotFound, CorruptStore):  # the sweep was removed; what was decided on is still in the log
        return None
    own = [run for run in found.rows if str(run.trial) == trial]
    went_on = [run for run in found.continued if str(run.trial) == trial]
    asked = [runs for runs in (own, [*own, *went_on]) if runs and content_sha256(runs) == entry.candidate_sha256]
    if not asked:
        return None
    heard = testifying(own, selecting=selecting_seed(found.rows))
    seeds = [(run.confirm_seed, -run.iwae, run in heard) for run in asked[0] if run.iwae is not None]
    # A run that went on is part of what asks where its weights are those to be served.
    served = [run for run in asked[0] if run.continues and run.iwae is not None]
    chosen = served[0] if served else best_on_select(heard)
    return _side(
        seeds, name=entry.candidate or "", version=None, artifact_seed=None if chosen is None else chosen.confirm_seed
    )


def _version_side(store: Store, state: ModelState, number: int) -> Facts | None:
    """A version of the model, from its card; None if its files are gone."""
    version = state.versions[number]
    if version.manifest_sha256 is None:
        return None
    card: Mapping[str, Any]
    card, _ = recorded_card(store, state.model, version)
    judged = [each["confirm_seed"] for each in card["seeds"] if each["neg_iwae"] is not None]
    silent, _ = silent_seeds(card, judged)
    seeds = [
        (each["confirm_seed"], each["neg_iwae"], each["confirm_seed"] not in silent)
        for each in card["seeds"]
        if each["neg_iwae"] is not None
    ]
    return _side(seeds, name=version.candidate, version=number, artifact_seed=card["provenance"]["artifact_seed"])


def _side(
    seeds: Sequence[tuple[int, float, bool]], *, name: str, version: int | None, artifact_seed: int | None
) -> Facts:
    """One side of a contest: -log p(x) of each confirmed seed, and the mean of those that testify with its interval.

    Args:
        seeds: confirm seed, mean bound over judge images, and whether it testifies.
    """
    heard = np.array([value for _, value, testifies in seeds if testifies])
    return {
        "candidate": name,
        "version": version,
        "mean": float(heard.mean()) if len(heard) else None,
        "interval": _interval(mean_interval(heard), confidence=CONFIDENCE) if len(heard) > 1 else None,
        "seeds": [
            {"confirm_seed": seed, "neg_iwae": value, "testifies": testifies, "is_artifact": seed == artifact_seed}
            for seed, value, testifies in sorted(seeds)
        ],
    }


def _interval(interval: Interval, *, confidence: float) -> Facts:
    return {
        "estimate": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "confidence": confidence,
    }
