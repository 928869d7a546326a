"""The card of a version: where it comes from, how good it is and how that is known; as JSON and for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape
from typing import Any

import numpy as np

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.image_bounds import LadderStep
from vae_search.registry.fitted_prior import FittedPriorRecord, fitted_lines
from vae_search.registry.model_in_words import bound_in_words, prior_in_words
from vae_search.registry.promotion.champion_test import LIFE_LEVEL, ContestResult, mean_interval
from vae_search.registry.promotion.continuation.words import continuation_facts, continuation_lines, weights_words
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


def markdown_of(card: Mapping[str, Any]) -> str:
    """The card as a page to read."""
    scores, test, contest = card["scores"], card["test"], card["contest"]
    came = card["provenance"]
    lines = [
        f"# {card['model']}, version {card['version']}",
        "",
        f"From trial {came['sweep']}/{came['trial']}, confirmed with {_testifying(card['seeds'])} fresh seeds; "
        f"the weights are {weights_words(card)}. Written {card['created_at']}.",
        "",
        *continuation_lines(card.get("continuation")),
        *_score_lines(scores, test, is_conditional=bool(card["data"].get("condition"))),
        "",
        "## Data and config",
        f"{_code(card['data']['source'])}, binarised: {card['data']['binarize']}, likelihood: {card['likelihood']}, "
        f"prior: {card.get('prior', 'standard')}, trained by: {card.get('trained_bound', 'ELBO')}, "
        f"{card['data']['judge_images']:,} judge images, {card['epochs']} epochs.",
        "",
        *fitted_lines(card.get("fitted_prior")),
        *_image_lines(card.get("images")),
        *_table(("parameter", "value"), [(name, _code(value)) for name, value in sorted(card["params"].items())]),
        "",
        "## Seeds",
        *_seed_table(card["seeds"]),
        "",
        *_diagnosis_lines(card.get("diagnosis")),
        "## Gates",
        *_table(
            ("gate", "passed", "found"),
            [(of["name"], "yes" if of["passed"] else "no", of["explanation"]) for of in card["gates"]],
        ),
        "",
        "## Contest",
        *_contest_lines(contest),
        "",
        "## Costs",
        *_table(("what", "value"), [(name, _number(value)) for name, value in card["costs"].items()]),
        "",
        "## Provenance",
        *_table(
            ("what", "value"),
            [(name, _code(value)) for name, value in [*came.items(), *sorted(card["versions"].items())]],
        ),
    ]
    return "\n".join(lines) + "\n"


def _score_lines(scores: Mapping[str, Any], test: Mapping[str, Any], *, is_conditional: bool) -> list[str]:
    explained, by_class = ("p(x given its label)", ", by each class's mean image") if is_conditional else ("p(x)", "")
    return [
        "## Scores",
        "Nats per image, lower is better; 95 % intervals.",
        "",
        "| what | value |",
        "|---|---|",
        f"| -log {explained}, IWAE-{scores['iwae_k']}, judge images, over seeds "
        f"| {_interval(scores['neg_iwae_over_seeds'])} |",
        f"| the same mean, in bits per dimension | {_number(scores['bits_per_dim'])} |",
        f"| the same, of these weights, over images | {_interval(scores['neg_iwae_of_artifact'])} |",
        f"| -log {explained}, IWAE-{test['iwae_k']}, {test['images']:,} test images, looked at once "
        f"| {test['neg_iwae']:.2f} ± {test['standard_error']:.2f} (standard error) |",
        f"| distortion + rate, judge images | {scores['distortion']:.2f} + {scores['rate']:.2f} |",
        f"| without latents (baseline){by_class} | {scores['baseline']:.2f} |",
        f"| least possible: the entropy of the binarisation, if there is one | {_number(scores['floor'])} |",
    ]


def _image_lines(images: object) -> list[str]:
    """Images as the sweep read them; nothing in cards from before that was kept."""
    summary = DatasetSummary.from_json(images)
    rows = ["In this order the classes are the rows of samples.png."] if summary and summary.classes else []
    return [] if summary is None else [escape("\n".join([*summary.sentences, *rows]), quote=False), ""]


def _seed_table(seeds: list[Mapping[str, Any]]) -> list[str]:
    return _table(
        ("seed", "testifies", "state", "-log p(x)", "-ELBO", "active units", "instability"),
        [
            (
                of["confirm_seed"],
                "yes" if of["testifies"] else "no",
                of["state"],
                _number(of["neg_iwae"]),
                _number(of["neg_elbo"]),
                _number(of["active_units"]),
                _number(of["instability"]),
            )
            for of in seeds
        ],
    )


def _diagnosis_lines(diagnosis: Mapping[str, Any] | None) -> list[str]:
    """Collapse and tightness of the bound; nothing in cards from before they were measured."""
    if diagnosis is None:
        return []
    ladder = diagnosis["ladder"]
    return [
        "## Diagnosis",
        f"Mutual information of image and code, at least: {_number(diagnosis['mutual_information'])} nats; "
        f"KL of the aggregate posterior from the prior: {_number(diagnosis['marginal_kl'])} nats; "
        f"{_number(diagnosis['active_units'])} active units. Select images.",
        "",
        f"Importance-weighted bounds on {ladder[0]['images']:,} judge images. While a tenfold K still gains much, or "
        "few draws carry all the weight, the bound is loose.",
        "",
        *_table(
            ("K", "-log p(x)", "gain ± standard error", "effective samples", "of the lowest 5 % of images"),
            [
                (
                    step["k"],
                    f"{step['neg_iwae']:.3f}",
                    "–" if step is ladder[0] else f"{step['gain']:.3f} ± {step['gain_standard_error']:.3f}",
                    f"{step['effective_size']:.1f}",
                    f"{step['low_effective_size']:.1f}",
                )
                for step in ladder
            ],
        ),
        "",
    ]


def _contest_lines(contest: Mapping[str, Any] | None) -> list[str]:
    if contest is None:
        return ["There was no champion; the gates decided."]
    level, power = contest["level"], contest["power"]
    same_seeds = contest.get("same_seeds", False)
    at = f"{100 * (1 - 2 * level):.6g} %"
    odds = " and ".join(f"by {gain} nats in {100 * share:.0f} of 100" for gain, share in power.items())
    return [
        f"Against version {contest['champion']}, in contest {contest['number']} of that champion: better by "
        f"{_interval(contest['over_seeds'])} nats over seeds (interval at {at}) and by "
        f"{_interval(contest['of_artifact'])} nats for the weights themselves ({at if same_seeds else '95 %'}); "
        f"{contest['min_gain']:g} was asked for.",
        "",
        f"Equals win such a contest in at most {100 * level:.3g} of 100 cases. The contests of one champion share "
        f"{100 * LIFE_LEVEL:g} of 100: the first has half of that, and one after k - 1 in which the candidate looked "
        "better 1 / (k (k + 1)).",
        *(
            []
            if same_seeds
            else [
                "",
                f"With seeds that spread as these do, a config that is truly better {odds} such contests is promoted. "
                "One bad seed in five widens the interval so far that even a clear gain is no longer seen: whoever "
                "trains the config again may get such a seed.",
            ]
        ),
        *(f"\n{remark}" for remark in contest["remarks"]),
    ]


def _testifying(seeds: list[Mapping[str, Any]]) -> int:
    return sum(of["testifies"] for of in seeds)


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def _interval(of: Mapping[str, float]) -> str:
    return f"{of['estimate']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"


def _code(value: object) -> str:
    return f"`{str(value).replace('`', '')}`"


def _total(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
