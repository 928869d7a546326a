"""Models: decisions on promotions, lists, histories and evaluations."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from vae_search.display.console import console, say, show_json
from vae_search.display.tables import cell, show_table
from vae_search.services.payloads import model_facts

if TYPE_CHECKING:
    from vae_search.registry.promotion.champion_test import ContestResult
    from vae_search.registry.promotion.model_backend import TestScore
    from vae_search.registry.promotion.pipeline import Decision
    from vae_search.registry.state import ModelState
    from vae_search.services.models.approval import ApprovalOutcome
    from vae_search.services.models.champions import Evaluation

LONGEST_WHY = 2000  # characters: one sentence for each gate


def decision_lines(decision: "Decision") -> list[str]:
    """Decision on a promotion in sentences: what became of the candidate, and why."""
    champion = f"{decision.model}:{decision.champion}"
    match decision.outcome:
        case "promoted":
            lines = [f"{decision.candidate} is now {champion}, the champion of {decision.model}."]
        case "kept":
            what = "is" if decision.version == decision.champion else "has been"
            lines = [
                f"{decision.candidate} {what} champion of {decision.model} already, as version {decision.version}."
            ]
        case "waiting":
            lines = [
                f"{decision.candidate} has passed, and waits for approval as {decision.model}:{decision.version}; "
                f"{_stays(decision)}.",
                *(f"  {line}" for line in approval_lines(decision.model, decision.version)),
            ]
        case _:
            lines = [f"{decision.candidate} was not promoted; {_stays(decision)}."]
    if decision.said is not None:
        lines.append(f"  {decision.said.actor or 'somebody'} rejected it: {'; '.join(decision.said.reasons)}")
    lines += [f"  {reason}" for reason in decision.ruling.reasons]
    lines += [f"  {line}" for line in contest_lines(decision.ruling.contest)]
    if decision.test is not None:
        lines.append(_test_line(decision.test))
    return lines


def _test_line(test: "TestScore") -> str:
    return (
        f"  test images, looked at once: -log p(x) ≤ {test.neg_iwae:.2f} ± {test.standard_error:.2f} nats "
        f"(iwae_{test.iwae_k}, {test.images:,} images)"
    )


def approval_lines(model: str, version: int | None) -> list[str]:
    """Commands that end the waiting of a version, one a line."""
    return [
        f'Make it champion: `vae-search approve {model} {version} --why "…"`',
        f'Refuse it: `vae-search reject {model} {version} --why "…"`',
    ]


def _stays(decision: "Decision") -> str:
    if decision.champion is None:
        return "there is no champion yet"
    return f"{decision.model}:{decision.champion} stays champion"


def contest_lines(contest: "ContestResult | None") -> list[str]:
    """Level and power of a contest in a sentence, and its remarks; nothing if older versions held it, without these."""
    if contest is None or not contest.power:
        return []
    odds = ", ".join(f"{share:.0%} for {gain} nats" for gain, share in contest.power.items())
    return [
        f"contest {contest.number} of this champion, at level {contest.level:.2%}; probability of a promotion where "
        f"seeds spread like these, by true gain: {odds}",
        *contest.remarks,
    ]


def show_approval(outcome: "ApprovalOutcome", *, as_json: bool) -> None:
    """Print what became of a version that waited."""
    if as_json:
        show_json(asdict(outcome))
        return
    version = f"{outcome.model}:{outcome.version}"
    if outcome.approved:
        say(f"{version}, {outcome.candidate}, is champion of {outcome.model}.")
        if outcome.test is not None:
            say(_test_line(outcome.test))
        return
    stays = "there is no champion yet" if outcome.champion is None else f"version {outcome.champion} stays champion"
    say(f"{version}, {outcome.candidate}, is refused; {stays}.")


def show_models(states: "Sequence[ModelState]", *, as_json: bool) -> None:
    """Print one line per model."""
    if as_json:
        show_json([model_facts(state) for state in states])
    elif not states:
        say("The store holds no model yet. A sweep whose spec names promote.model makes one.")
    else:
        rows = [
            [
                state.model,
                "none" if state.champion is None else f"version {state.champion}",
                ", ".join(str(waiting.version.number) for waiting in state.waiting),
                str(len(state.versions)),
                str(state.contests),
                str(len(state.entries)),
            ]
            for state in states
        ]
        show_table(console(), ["model", "champion", "waiting", "versions", "its contests", "log entries"], rows)
        for state in states:
            for line in waiting_lines(state):
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
    for line in waiting_lines(state):
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


def waiting_lines(state: "ModelState", *, sweep: str | None = None) -> list[str]:
    """Versions of a model that wait for approval, all or those of one sweep, and what to do."""
    lines = []
    for waiting in state.waiting:
        version = waiting.version
        if sweep not in (None, version.candidate.partition("/")[0]):
            continue
        lines.append(f"{state.model}:{version.number}, {version.candidate}, waits for approval.")
        if waiting.holds:
            lines += [f"  {line}" for line in approval_lines(state.model, version.number)]
        else:
            sweep = version.candidate.partition("/")[0]
            lines.append(
                "  The champion is another than in its contest. Ask for a new one: "
                f"`vae-search promote {sweep} --model {state.model}`"
            )
    return lines


def show_evaluation(evaluation: "Evaluation", *, as_json: bool) -> None:
    """Print a version's scores on test images."""
    if as_json:
        show_json(asdict(evaluation))
        return
    version = f"{evaluation.model}:{evaluation.version}"
    say(f"{version} on {evaluation.images:,} test images of {evaluation.source}, nats per image:")
    say(f"  -log p(x) ≤ {evaluation.neg_iwae:.2f} ± {evaluation.standard_error:.2f} (iwae_{evaluation.iwae_k})")
    say(f"  neg_elbo {evaluation.neg_elbo:.2f} = distortion {evaluation.distortion:.2f} + rate {evaluation.rate:.2f}")
    if evaluation.remark is not None:
        say(evaluation.remark)
