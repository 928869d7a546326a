"""The card of a version as a page to read, from its facts."""

from collections.abc import Mapping
from html import escape
from typing import Any

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.registry.fitted_prior import fitted_lines
from vae_search.registry.promotion.champion_test import LIFE_LEVEL
from vae_search.registry.promotion.continuation.words import continuation_lines, weights_words


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
