"""The report in sentences, and safe wording of texts that people or programs have put into the store."""

import unicodedata
from collections.abc import Iterator
from datetime import timedelta

from vae_search.core.criteria import words_of
from vae_search.core.trial_state import State
from vae_search.registry.log import Action, Entry
from vae_search.registry.promotion.champion_test import CONFIDENCE
from vae_search.registry.promotion.decision import COUNTING_GATES
from vae_search.reports.facts import Lead, ReportData, busy_share, confirmed, lead, spent, timeline
from vae_search.spec.search_space import range_edges
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.front import Front

SHOWN_CHARACTERS = 300
LEAST_INFORMATION_NATS = 1.0  # the gate `rate` asks for as much


def shown(value: object) -> str:
    """`value` in at most about `SHOWN_CHARACTERS`, with control and direction marks made visible."""
    text = "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    cut = text[:SHOWN_CHARACTERS] + (f" … ({len(text):,} characters)" if len(text) > SHOWN_CHARACTERS else "")
    return "".join(_visible(character) for character in cut)


def number(value: float | None, digits: int) -> str:
    """`value` with so many digits after the point."""
    return "–" if value is None else f"{value:.{digits}f}"


def value_of(criterion: str, value: float) -> str:
    """A criterion's value with its unit: `neg_elbo 98.21 nats`, `1.25e+09 FLOPs`."""
    return words_of(criterion).named_value.format(value)


def summary(findings: ReportData) -> list[str]:
    """Summary of space, winner, lead with its certainty, and cost: one paragraph each."""
    ahead = lead(findings.ranking)
    front = findings.front
    paragraphs = [_searched(findings), _won(findings, ahead) if front is None else _on_front(findings, front)]
    if ahead is not None or (front is not None and front.members):
        paragraphs.append(" ".join(_sure(findings, ahead)))
    if (best := findings.best) is not None and (hints := [*_code(best), *_edges(findings, best)]):
        paragraphs.append(" ".join(hints))
    if findings.rows:
        paragraphs.append(" ".join(_cost(findings)))
    images = [" ".join(map(shown, findings.images.sentences))] if findings.images else []
    return [*images, *paragraphs, *_promoted(findings)]


def _searched(findings: ReportData) -> str:
    spec = findings.spec
    names = ", ".join(findings.searched) or "nothing, as every parameter is fixed"
    rungs = f"rungs at {', '.join(map(str, findings.rungs))}" if findings.rungs else "no pruning"
    ended = f"{len(findings.rows)} of {spec.budget.trials} trials have ended"
    flight = f", {findings.in_flight} in flight" if findings.in_flight else ""
    lost = f", {len(findings.set_aside)} were damaged and set aside" if findings.set_aside else ""
    return (
        f"Searched on {shown(spec.data.source)} ({spec.likelihood} likelihood, sampler {spec.sampler}): {names}. "
        f"Trials have up to {spec.budget.epochs} epochs, {rungs}, and are ranked by {_ranked_by(findings)}. "
        f"The sweep is {findings.state}: {ended}{flight}{lost}."
    )


def _ranked_by(findings: ReportData) -> str:
    if findings.spec.objective.pareto is not None:
        return f"none of {', '.join(findings.spec.objective.pareto)} alone"
    return "the IWAE bound, as promotions compare them" if findings.spec.bound == "iwae" else "the ELBO"


def _won(findings: ReportData, ahead: Lead | None) -> str:
    if ahead is None:
        why = "none has ended" if not findings.rows else f"none of the {len(findings.rows)} that ended completed"
        return f"No trial has won: {why}."
    best = ahead.best
    params = ", ".join(f"{name} {shown(best.params[name])}" for name in findings.searched if name in best.params)
    parts = [
        f"Trial {best.trial} has the best objective, {best.objective:.2f} nats per image"
        + (f" ({_bound(findings, best)}, instability {_instability(best.instability)})")
        + (f", with {params}." if params else ".")
    ]
    if ahead.second is None:
        parts.append("No other trial has completed.")
    else:
        complete = sum(row.state is State.COMPLETE for row in findings.rows)
        parts.append(
            f"It is {ahead.over_second:.2f} nats ahead of trial {ahead.second.trial} and {ahead.over_median:.2f} ahead "
            f"of the median of the {complete} that completed."
        )
    return " ".join(parts)


def _bound(findings: ReportData, row: TrialRow) -> str:
    """The bound in a trial's objective."""
    if findings.spec.bound == "iwae" and row.iwae is not None:
        return f"-IWAE-{row.iwae_k} {-row.iwae:.2f}"
    return f"neg_elbo {row.neg_elbo:.2f}"


def _on_front(findings: ReportData, front: Front) -> str:
    """Instead of a winner: how many are on the front, and its ends, the preferred one first."""
    criteria = ", ".join(front.criteria)
    if not front.members:
        why = "none has ended" if not findings.rows else f"none of the {len(findings.rows)} that ended completed"
        return f"No trial is on the front of {criteria}: {why}."
    complete = sum(row.state is State.COMPLETE for row in findings.rows)
    of = f"{len(front.members)} of the {complete} trials that completed"
    be, them = ("is", "it") if len(front.members) == 1 else ("are", "them")
    parts = [f"There is no single best trial: {of} {be} on the front: no other beats {them} in all of {criteria}."]
    rows = {row.trial: row for row in findings.rows}
    for name in sorted(front.criteria, key=lambda name: name != front.prefer):
        member = front.extreme(name)
        value = None if member is None else member.values[name]
        if member is None or value is None:
            continue
        others = ", ".join(
            value_of(other, at)
            for other in front.criteria
            if other != name and (at := member.values[other]) is not None
        )
        leads = words_of(name, more_is_better=name in front.of.maximised).leads
        part = f"Trial {member.trial} {leads}, {value_of(name, value)} ({others})"
        if name == front.prefer:
            known = rows[member.trial].params
            params = ", ".join(f"{each} {shown(known[each])}" for each in findings.searched if each in known)
            part += ", and is the one that the spec prefers" + (f": {params}" if params else "")
        parts.append(part + ".")
    return " ".join(parts)


def _sure(findings: ReportData, ahead: Lead | None) -> Iterator[str]:
    tried = confirmed(findings.confirm_rows)
    finalists = [finalist for finalist in tried if not finalist.failed]
    if not finalists:
        why = "every config that was trained again failed with a fresh seed" if tried else ""
        yield (
            f"How sure that is, nobody knows yet: {why or 'no config has been trained again with a fresh seed'}, and "
            "the best of many runs is partly the luckiest."
        )
        return
    best = finalists[0]
    seeds = "1 fresh seed" if len(best.bounds) == 1 else f"{len(best.bounds)} fresh seeds"
    if not best.testifies:
        seeds = "the seed that finalists are chosen by, and no other yet"
    yield (
        f"Trained again with {seeds}, trial {best.trial} is the best finalist: -log p(x) ≤ {best.mean:.2f} nats per "
        f"image of the judge split, by iwae_{best.iwae_k}."
    )
    if best.interval is None:
        yield "One seed tells nothing of the spread."
    else:
        yield (
            f"Seeds spread by {best.spread:.3f} nats (standard deviation); the mean lies in [{best.interval.low:.2f}, "
            f"{best.interval.high:.2f}] with {CONFIDENCE:.0%} confidence."
        )
        if ahead is not None and ahead.over_second is not None and best.trial == ahead.best.trial and best.spread:
            ratio = ahead.over_second / best.spread
            yield f"Its lead in the search is {ratio:.1f} times that spread" + (
                ": another seed could turn the order." if ratio < 2 else "."
            )
    for other in finalists[1:2]:
        count = "1 seed" if len(other.bounds) == 1 else f"{len(other.bounds)} seeds"
        count = count if other.testifies else "the seed that finalists are chosen by"
        yield f"The next finalist, trial {other.trial}, has {other.mean:.2f} with {count}."


def _code(best: TrialRow) -> Iterator[str]:
    """Information that the code carries, or its collapse; nothing of rows from before it was measured."""
    if best.mutual_information is None or best.rate is None:
        return
    latents = len(best.kl_per_dimension or ())
    active = f", with {best.active_units} of {latents} latents active" if latents else ""
    if best.mutual_information < LEAST_INFORMATION_NATS:
        said = f"has collapsed: it carries {best.mutual_information:.2f} nats about the image"
    else:
        said = f"carries at least {best.mutual_information:.1f} nats about the image"
    yield f"The code of trial {best.trial} {said} (mutual information; its rate is {best.rate:.1f} nats){active}."


def _edges(findings: ReportData, best: TrialRow) -> Iterator[str]:
    for edge in range_edges(findings.spec.search_space, best.params):
        yield (
            f"Its {edge.name}, {shown(edge.value)}, lies at the {edge.end} end of the searched range "
            f"({shown(edge.limit)}): widen it, better values may lie beyond."
        )


def _cost(findings: ReportData) -> Iterator[str]:
    whole = spent(findings.rows)
    long_runs = (*findings.confirm_rows, *findings.continued_rows)
    spans = timeline(findings.rows, long_runs)
    yield (
        f"The {whole.trials} trials took {whole.cpu_s:,.1f} CPU seconds, {whole.epochs:,} epochs and "
        f"{whole.train_flops:.3g} floating-point operations."
    )
    if long_runs:
        confirm = spent(long_runs)
        yield f"The {confirm.trials} confirm runs took another {confirm.cpu_s:,.1f} CPU seconds."
    share = busy_share(spans)
    busy = "" if share is None else f", in which the worker slots were busy for {share:.0%}"
    wall = timedelta(seconds=round(max(span.end_s for span in spans)))
    yield f"From the first start to the last end it was {wall} of wall time{busy}."
    for state, verb in ((State.PRUNED, "stopped early"), (State.FAIL, "failed")):
        part = spent(row for row in findings.rows if row.state is state)
        if part.trials:
            share_of_cpu = f" ({part.cpu_s / whole.cpu_s:.0%})" if whole.cpu_s else ""
            yield f"{part.trials} {verb}, which took {part.cpu_s:,.1f} CPU seconds{share_of_cpu}."
        else:
            yield f"None {verb}."


def _promoted(findings: ReportData) -> Iterator[str]:
    model = findings.spec.promote.model if findings.spec.promote else None
    verdicts = [entry for entry in findings.entries if entry.judged]
    if model is None:
        return
    if not verdicts:
        yield f"No config of it has asked to become champion of model {model} yet."
        return
    # Whoever comes after a refused one may be refused for want of seeds alone, which tells nothing of the sweep.
    measured = [entry for entry in verdicts if entry.action is not Action.REJECT or _is_measured(entry)]
    last = (measured or verdicts)[-1]
    after = findings.entries[findings.entries.index(last) + 1 :]
    said = next((each for each in after if last.action is Action.WAIT and each.version == last.version), None)
    if last.action is Action.PROMOTE:
        yield f"{last.candidate} became version {last.version} of model {model}, and its champion."
    elif last.action is Action.WAIT and said is None:
        yield f"{last.candidate} has passed, and waits for approval as version {last.version} of model {model}."
    elif said is not None:
        who, why = shown(said.actor or "somebody"), shown("; ".join(said.reasons))
        became = "approved it as champion" if said.action is Action.APPROVE else "rejected it"
        yield f"{last.candidate} passed as version {last.version} of model {model}, and {who} {became}: {why}."
    else:
        yield f"{last.candidate} was refused as champion of model {model}: {shown('; '.join(last.reasons))}."


def _is_measured(entry: Entry) -> bool:
    gates = entry.verdicts.get("gates")
    return isinstance(gates, list) and len(gates) > len(COUNTING_GATES)


def _instability(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    return f"\\u{ord(character):04x}" if kind in ("Cc", "Cf", "Cs", "Co") else character
