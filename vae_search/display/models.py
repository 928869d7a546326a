"""Models: decisions on promotions, lists, histories and evaluations."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from vae_search.display.console import console, say, show_json
from vae_search.display.tables import cell, show_table
from vae_search.services.payloads import Facts, model_facts

if TYPE_CHECKING:
    from vae_search.registry.state import ModelState
    from vae_search.services.checks.evaluation import Evaluation

LONGEST_WHY = 2000  # characters: one sentence for each gate


def decision_lines(decision: Facts) -> list[str]:
    """Decision on a promotion in sentences: what became of the candidate, and why.

    Args:
        decision: of `decision_facts`.
    """
    candidate, model, version, test = (decision[name] for name in ("candidate", "model", "version", "test"))
    champion = f"{model}:{decision['champion']}"
    stays = "there is no champion yet" if decision["champion"] is None else f"{champion} stays champion"
    match decision["outcome"]:
        case "promoted":
            lines = [f"{candidate} is now {champion}, the champion of {model}."]
        case "kept":
            what = "is" if version == decision["champion"] else "has been"
            lines = [f"{candidate} {what} champion of {model} already, as version {version}."]
        case "waiting":
            lines = [
                f"{candidate} has passed, and waits for approval as {model}:{version}; {stays}.",
                *(f"  {line}" for line in approval_lines(model, version)),
            ]
        case _:
            lines = [f"{candidate} was not promoted; {stays}."]
    if decision.get("rejected"):
        who = decision["rejected_by"] or "somebody"
        lines.append(f"  {who} rejected it: {'; '.join(decision['reasons'])}")
    else:
        lines += [f"  {reason}" for reason in decision["reasons"]]
    lines += [f"  {line}" for line in contest_lines(decision["contest"])]
    if test is not None:
        lines.append(_test_line(test))
    return lines


def _test_line(test: Facts) -> str:
    return (
        f"  test images, looked at once: -log p(x) ≤ {test['neg_iwae']:.2f} ± {test['standard_error']:.2f} nats "
        f"(iwae_{test['iwae_k']}, {test['images']:,} images)"
    )


def approval_lines(model: str, version: int) -> list[str]:
    """Commands that end the waiting of a version, one a line."""
    return [
        f'Make it champion: `vae-search approve {model} {version} --why "…"`',
        f'Refuse it: `vae-search reject {model} {version} --why "…"`',
    ]


def contest_lines(contest: Facts | None) -> list[str]:
    """Level and power of a contest in a sentence, and its remarks; nothing if older versions held it, without these."""
    if contest is None or not contest["power"]:
        return []
    odds = ", ".join(f"{share:.0%} for {gain} nats" for gain, share in contest["power"].items())
    return [
        f"contest {contest['number']} of this champion, at level {contest['level']:.2%}; probability of a promotion "
        f"where seeds spread like these, by true gain: {odds}",
        *contest["remarks"],
    ]


def show_approval(outcome: Facts, *, as_json: bool) -> None:
    """Print what became of a version that waited."""
    if as_json:
        show_json(outcome)
        return
    version, candidate = f"{outcome['model']}:{outcome['version']}", outcome["candidate"]
    if outcome["approved"]:
        say(f"{version}, {candidate}, is champion of {outcome['model']}.")
        if outcome["test"] is not None:
            say(_test_line(outcome["test"]))
        return
    champion = outcome["champion"]
    stays = "there is no champion yet" if champion is None else f"version {champion} stays champion"
    say(f"{version}, {candidate}, is refused; {stays}.")


def show_models(models: Sequence[Facts], *, as_json: bool) -> None:
    """Print one line per model, of `model_facts`."""
    if as_json:
        show_json(models)
    elif not models:
        say("The store holds no model yet. A sweep whose spec names promote.model makes one.")
    else:
        rows = [
            [
                facts["model"],
                "none" if facts["champion"] is None else f"version {facts['champion']}",
                ", ".join(str(waiting["version"]) for waiting in facts["waiting"]),
                *(str(facts[name]) for name in ("versions", "contests", "entries")),
            ]
            for facts in models
        ]
        show_table(console(), ["model", "champion", "waiting", "versions", "its contests", "log entries"], rows)
        for facts in models:
            for line in waiting_lines(facts):
                say(line)


def show_history(state: "ModelState", *, as_json: bool) -> None:
    """Print a model's log, the oldest entry first."""
    if as_json:
        show_json([entry.to_dict() for entry in state.entries])
        return
    champion = "champion none"
    if state.champion is not None:
        champion = f"champion version {state.champion}, which has had {state.contests} contests"
    say(f"{state.model}: {champion}")
    for line in waiting_lines(model_facts(state)):
        say(line)
    rows = [
        [
            f"{entry.at:%Y-%m-%d %H:%M}",
            entry.action.value,
            "" if entry.version is None else str(entry.version),
            cell(entry.candidate or ""),
            cell(entry.actor or ""),
            cell("; ".join(entry.reasons), LONGEST_WHY),
        ]
        for entry in state.entries
    ]
    show_table(console(), ["at", "action", "version", "candidate", "by", "why"], rows)


def waiting_lines(facts: Facts, *, sweep: str | None = None) -> list[str]:
    """Versions of a model that wait for approval, all or those of one sweep, and what to do.

    Args:
        facts: of `model_facts`.
    """
    model, lines = facts["model"], []
    for waiting in facts["waiting"]:
        name, version = waiting["candidate"], waiting["version"]
        if sweep not in (None, name.partition("/")[0]):
            continue
        lines.append(f"{model}:{version}, {name}, waits for approval.")
        if waiting["holds"]:
            lines += [f"  {line}" for line in approval_lines(model, version)]
        else:
            lines.append(
                "  The champion is another than in its contest. Ask for a new one: "
                f"`vae-search promote {name.partition('/')[0]} --model {model}`"
            )
    return lines


def show_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print a version's scores on test images."""
    if as_json:
        show_json(asdict(evaluation))
        return
    version = f"{evaluation.model}:{evaluation.version}"
    say(f"{version} on {evaluation.images:,} test images of {evaluation.source}, nats per image:")
    explained = "p(x given its label)" if evaluation.conditional else "p(x)"
    say(f"  -log {explained} ≤ {evaluation.neg_iwae:.2f} ± {evaluation.standard_error:.2f} (iwae_{evaluation.iwae_k})")
    say(f"  neg_elbo {evaluation.neg_elbo:.2f} = distortion {evaluation.distortion:.2f} + rate {evaluation.rate:.2f}")
    if evaluation.remark is not None:
        say(evaluation.remark)
