"""The card of a version: where it comes from, how good it is and how that is known, in plain values."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from vae_search.core.image_bounds import LadderStep
from vae_search.registry.fitted_prior import FittedPriorRecord
from vae_search.registry.model_in_words import bound_in_words, prior_in_words
from vae_search.registry.promotion.champion_test import ContestResult, mean_interval
from vae_search.registry.promotion.continuation.words import continuation_facts
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs, GateResult, baseline_nats, floor_nats
from vae_search.registry.promotion.model_backend import TestScore
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.sweeps.sweep_record import SweepRecord

CARD_FORMAT = 1


def card_of(
    candidate: Candidate,
    record: SweepRecord,
    *,
    model: str,
    version: int,
    created_at: datetime,
    facts: GateInputs,
    gates: tuple[GateResult, ...],
    contest: ContestResult | None,
    champion: int | None,
    test: TestScore,
    ladder: Sequence[LadderStep],
    fitted: FittedPriorRecord | None = None,
) -> dict[str, Any]:
    """The card in plain values. Nats per image; `neg_iwae` is the bound on -log p(x) over the judge images.

    Args:
        champion: the version that the contest was against when the card was written. The log has the last word.
        fitted: a prior that was fitted after training, whether or not it was kept.
    """
    row, evidence = candidate.artifact_row, candidate.evidence
    return {
        "format": CARD_FORMAT,
        "model": model,
        "version": version,
        "created_at": created_at.isoformat(),
        "provenance": {
            "sweep": candidate.sweep,
            "trial": candidate.trial,
            "artifact_seed": evidence.artifact_seed,
            "artifact_sha256": row.artifact_sha256,
            "candidate_sha256": candidate.sha256,
            "spec_sha256": row.spec_sha256,
            "fingerprint": record.fingerprint,
            "comparability_key": row.comparability_key,
        },
        "data": record.spec.data.model_dump(mode="json") | {"judge_images": evidence.images},
        "images": None if record.images is None else record.images.to_json(),
        "likelihood": record.spec.likelihood,
        "prior": prior_in_words(row.params, fitted),
        "fitted_prior": None if fitted is None else asdict(fitted),
        "trained_bound": bound_in_words(row.params, row.epochs),
        "params": dict(row.params),
        "epochs": row.epochs,
        "precision": record.spec.precision,
        "scores": _scores_of(candidate),
        "sample_quality": asdict(facts.sample_quality) if facts.sample_quality else None,
        "test": asdict(test),
        "seeds": _seeds_of(candidate),
        "continuation": continuation_facts(candidate),
        "diagnosis": _diagnosis_of(row, ladder),
        "gates": [asdict(gate) for gate in gates],
        "contest": asdict(contest) | {"champion": champion} if contest else None,
        "costs": {
            "parameters": row.parameters,
            "train_flops": row.train_flops,
            "cpu_s_of_all_seeds": _total(each.cpu_s for each in candidate.all_rows),
            "wall_s_of_all_seeds": _total(each.wall_s for each in candidate.all_rows),
        },
        "versions": dict(record.versions),
    }


def _scores_of(candidate: Candidate) -> dict[str, Any]:
    evidence = candidate.evidence
    means = np.array([float(of.neg_iwae.mean()) for of in evidence.testimony.values()])
    row = candidate.artifact_row
    bits = None if row.bits_per_dim is None or not row.neg_elbo else row.bits_per_dim / row.neg_elbo  # of a nat
    return {
        "iwae_k": evidence.iwae_k,
        "neg_iwae_over_seeds": asdict(mean_interval(means)),
        "bits_per_dim": None if bits is None else bits * float(means.mean()),
        "neg_iwae_of_artifact": asdict(mean_interval(evidence.artifact.neg_iwae)),
        "distortion": float(evidence.artifact.distortion.mean()),
        "rate": float(evidence.artifact.rate.mean()),
        "baseline": baseline_nats(evidence.artifact),
        "floor": floor_nats(candidate.artifact_row),
    }


def _diagnosis_of(row: ConfirmRow, ladder: Sequence[LadderStep]) -> dict[str, Any]:
    """Collapse, measured on the select images, and tightness of the bound, on judge images."""
    return {
        "mutual_information": row.mutual_information,
        "marginal_kl": row.marginal_kl,
        "active_units": row.active_units,
        "ladder": [asdict(step) for step in ladder],
    }


def _seeds_of(candidate: Candidate) -> list[dict[str, Any]]:
    return [
        {
            "confirm_seed": each.confirm_seed,
            "seed": each.seed,
            "state": each.state,
            "epochs": each.epochs,
            "testifies": each in candidate.testifying,
            "neg_iwae": float(bounds.neg_iwae.mean()) if bounds else None,
            "neg_elbo": float(bounds.neg_elbo.mean()) if bounds else None,
            "active_units": each.active_units,
            "instability": each.instability,
        }
        for each in candidate.all_rows
        for bounds in [candidate.judged.get(each.confirm_seed)]
    ]


def _total(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
