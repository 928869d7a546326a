"""From a sweep's finalists to a champion: the recipe. Every step can be cut off and done again.

A process that dies leaves the old or the new champion; calling `promote_best` again finishes what it began or, if its
files are not whole, reserves another number. Two at once are put in order by the log: whoever comes second decides
again, against the champion of the first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from vae_search.core.image_bounds import ImageBounds
from vae_search.core.trial_state import State
from vae_search.errors import Conflict, CorruptStore, NotFound
from vae_search.registry.log import Action, Entry
from vae_search.registry.promotion.candidate_files import Preparation
from vae_search.registry.promotion.continuation.continued import Continued
from vae_search.registry.promotion.continuation.weights import with_weights
from vae_search.registry.promotion.decision import PromotionDecision, PromotionPolicy, decide, refused_unmeasured
from vae_search.registry.promotion.evidence import Candidate, training_options
from vae_search.registry.promotion.model_backend import ModelBackend, TestScore
from vae_search.registry.registry import Registry
from vae_search.registry.serving import publish_champion
from vae_search.registry.state import OPEN, REQUIRED, ModelState
from vae_search.store.backends.base import Store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns, by_trial, selecting_seed
from vae_search.store.ledger.image_bounds_file import bounds_from_parquet
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.confirmed_configs import confirmed_place
from vae_search.store.sweeps import sweep_record


class PromotionOutcome(StrEnum):
    """Outcome for a candidate."""

    PROMOTED = "promoted"
    WAITING = "waiting"  # it has passed, and waits for somebody's approval
    REJECTED = "rejected"
    KEPT = "kept"  # it had been promoted before; nothing has changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Decision about a candidate, with its grounds.

    Args:
        version: its number, if it has ever been promoted, or waits for approval.
        champion: the model's champion now.
        test: only of the version that was promoted here and now.
        said: the entry by which somebody rejected it after it had passed.
    """

    outcome: PromotionOutcome
    model: str
    candidate: str
    version: int | None
    champion: int | None
    ruling: PromotionDecision
    test: TestScore | None = None
    said: Entry | None = None


def promote_best(
    store: Store,
    sweep: str,
    *,
    model: str,
    rules: PromotionPolicy,
    backend: ModelBackend,
    now: Callable[[], datetime],
    actor: str | None = None,
) -> Decision:
    """Let a sweep's finalists ask for promotion, the best first: the first that passes all gates faces the champion.

    Whoever fails a gate is entered into the log with all verdicts, and the next one asks.

    Returns:
        What became of the first that passed the gates, else of the best one.

    Raises:
        NotFound: There is no such sweep, or no confirm run of it has completed.
        Conflict: The champion was judged on another task.
        CorruptStore: The log, the champion or a confirm run is damaged.
    """
    registry = Registry(store, model, now=now, actor=actor)
    decisions = []
    for candidate in candidates(store, sweep):
        decisions.append(evaluate_candidate(store, registry, candidate, rules=rules, backend=backend, now=now))
        if decisions[-1].outcome is not PromotionOutcome.REJECTED or decisions[-1].ruling.healthy:
            decisions = decisions[-1:]
            break
    publish_champion(store, model, registry.state)
    return decisions[0]


def candidates(store: Store, sweep: str) -> list[Candidate]:
    """The finalists of a sweep in the order of `confirmed_first`, as `best` ranks them; not confirmed ones come last.

    Raises:
        NotFound: There is no such sweep, or no confirm run of it has completed.
        Conflict: They were not judged alike (invariant I7).
        CorruptStore: A confirm run's files are damaged.
    """
    stored = sweep_record.read_stored(store, sweep)
    record = stored.checked()
    key = record.comparability_key
    confirm_runs = ConfirmRuns(store, sweep).read()
    selecting = selecting_seed(confirm_runs.rows)
    went_on = {row.trial: row for row in confirm_runs.continued}
    found = [
        Candidate(
            rows=tuple(rows),
            bounds={row.confirm_seed: _bounds(store, row) for row in rows if _completed(row)},
            incarnation=stored.incarnation,
            selecting=selecting,
            keys_judged_alike=record.keys_judged_alike,
            options=training_options(precision=record.spec.precision, mirror=record.spec.data.mirror),
            continued=_continued(store, went_on.get(rows[0].trial)),
        )
        for rows in by_trial(confirm_runs.rows).values()
        if any(map(_completed, rows))
    ]
    if confirm_runs.damaged:
        raise CorruptStore(
            f"damaged. `vae-search verify {sweep} --repair` sets it aside.", path=confirm_runs.damaged[0]
        )
    if not found:
        raise NotFound(f"sweep {sweep}: no confirm run has completed, so there is nothing to promote.")
    judged = {
        (each.rows[0].comparability_key, len(bounds), bounds.iwae_k)
        for each in found
        for bounds in each.bounds.values()
    }
    if len(judged) > 1 or next(iter(judged))[0] != key:
        raise Conflict(
            f"sweep {sweep}: its finalists were not judged alike, or not on the sweep's own task: (comparability key, "
            f"images, iwae_k) are {', '.join(f'({of[0][:12]}, {of[1]}, {of[2]})' for of in sorted(judged))}."
        )
    place = confirmed_place(confirm_runs.rows)
    return sorted(found, key=lambda each: (place(each.trial), -len(each.testifying), each.mean_neg_iwae, each.trial))


def evaluate_candidate(
    store: Store,
    registry: Registry,
    candidate: Candidate,
    *,
    rules: PromotionPolicy,
    backend: ModelBackend,
    now: Callable[[], datetime],
) -> Decision:
    """One candidate's way to a verdict that is in the log. Asking again, or from two places at once, changes nothing.

    A candidate that passes waits if its own rules ask for approval, or if the model does: else a spec without the word
    would lead around those who are to approve.

    Raises:
        ProcessLost: A measurement was not made; there is no verdict.
        Conflict: The champion was judged on another task.
        CorruptStore: The log, the champion or the candidate's files are damaged.
    """
    candidate = with_weights(candidate, rules)
    prepared = Preparation(store, registry.model, candidate, backend)
    number = manifest_sha256 = None  # of the version that is ready to be promoted
    while True:
        state = registry.state()
        if number is not None and state.versions[number].status not in OPEN:
            number = None  # somebody has given a verdict on this candidate meanwhile
        earlier = _recorded(state, candidate, rules)
        if earlier is not None and not _may_have_been_trouble(earlier):
            return earlier
        ruling = refused_unmeasured(candidate, rules)
        if ruling is None:
            champion = prepared.champion(state)
            evidence = champion.evidence if champion else None
            turn = state.turn_of(candidate.sha256)
            facing = None if state.champion is None else state.versions[state.champion].candidate_sha256
            same_seeds = facing == candidate.seeds_sha256  # promoted before a run had gone on from one of them
            ruling = decide(candidate, prepared.facts(champion), evidence, rules, turn=turn, same_seeds=same_seeds)
        if earlier is not None and ruling == earlier.ruling:
            return earlier
        who = {
            "candidate": candidate.name,
            "candidate_sha256": candidate.sha256,
            "incarnation": candidate.incarnation,
        }
        about = who | {
            "rules_sha256": rules.sha256,
            "approval": REQUIRED if rules.needs_approval else None,
            "reasons": ruling.reasons,
            "verdicts": ruling.to_json(),
        }
        decision = Decision(
            outcome=PromotionOutcome.REJECTED,
            model=registry.model,
            candidate=candidate.name,
            version=None,
            champion=state.champion,
            ruling=ruling,
        )
        if ruling.reasons:
            if registry.add(Action.REJECT, seen=state, version=number, **about):
                return decision
        elif number is not None and (rules.needs_approval or state.needs_approval):
            if registry.add(Action.WAIT, seen=state, version=number, manifest_sha256=manifest_sha256, **about):
                return replace(decision, outcome=PromotionOutcome.WAITING, version=number)
        elif number is not None:
            if registry.add(Action.PROMOTE, seen=state, version=number, manifest_sha256=manifest_sha256, **about):
                test = prepared.recorded_test([number])
                return replace(decision, outcome=PromotionOutcome.PROMOTED, version=number, champion=number, test=test)
        elif (ready := prepared.finished(state)) is not None:
            number, manifest_sha256 = ready
        else:
            next_number = len(state.versions) + 1
            if registry.add(Action.REGISTER, seen=state, version=next_number, **who):
                manifest_sha256 = prepared.write(next_number, state, ruling, at=now())
                number = next_number


def _may_have_been_trouble(decision: Decision) -> bool:
    """True if a candidate was refused without having been loaded anew, so that it is worth another look.

    Older versions of this program also refused where the process that loads it was lost.
    """
    unloaded = any(gate.name == "reload" and gate.value is None for gate in decision.ruling.gates)
    return decision.outcome is PromotionOutcome.REJECTED and unloaded


def _recorded(state: ModelState, candidate: Candidate, rules: PromotionPolicy) -> Decision | None:
    """The verdict on this candidate that is in the log already, if it still holds.

    Somebody's no to these runs holds whatever the champion is, as a yes does: nobody has to say it twice.
    """
    found = (_recorded_as(sha256, state, candidate, rules) for sha256 in candidate.digests)
    return next((decision for decision in found if decision is not None), None)


def _recorded_as(sha256: str, state: ModelState, candidate: Candidate, rules: PromotionPolicy) -> Decision | None:
    version, said = state.promoted_as(sha256), state.said.get(sha256)
    waits = next((w for w in state.waiting if w.version.candidate_sha256 == sha256), None)
    if version is not None:
        outcome, entry = PromotionOutcome.KEPT, state.judgement(version)
    elif said is not None and said.version is not None:
        outcome, entry = PromotionOutcome.REJECTED, state.judgement(said.version)
    elif waits is not None and waits.holds and waits.entry.rules_sha256 == rules.sha256:
        outcome, entry, version = PromotionOutcome.WAITING, waits.entry, waits.version.number
    else:
        outcome, entry = PromotionOutcome.REJECTED, state.rejection(sha256, rules.sha256)
    if entry is None:
        return None
    return Decision(
        outcome=outcome,
        model=state.model,
        candidate=candidate.name,
        version=version,
        champion=state.champion,
        ruling=PromotionDecision.of(entry),
        said=said if outcome is PromotionOutcome.REJECTED else None,
    )


def _continued(store: Store, row: ConfirmRow | None) -> Continued | None:
    return None if row is None else Continued(row=row, bounds=_bounds(store, row) if _completed(row) else None)


def _bounds(store: Store, row: ConfirmRow) -> ImageBounds:
    files = artifacts.load(store, row.sweep, row.key, sha256=row.artifact_sha256)
    where = f"{SweepPaths(row.sweep).artifact(row.key)}/{artifacts.PER_IMAGE_FILE}"
    if artifacts.PER_IMAGE_FILE not in files:
        raise CorruptStore("is missing.", path=where, advice="Restore it from a copy.")
    return bounds_from_parquet(files[artifacts.PER_IMAGE_FILE], where=where)


def _completed(row: ConfirmRow) -> bool:
    return row.state is State.COMPLETE
