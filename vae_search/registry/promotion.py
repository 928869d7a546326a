"""From a sweep's finalists to a champion: the recipe. Every step can be cut off and done again.

A process that dies leaves the old or the new champion; calling `propose` again finishes what it began or, if its files
are not whole, reserves another number. Two at once are put in order by the log: whoever comes second decides again,
against the champion of the first.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from vae_search.errors import Conflict, CorruptStore, NotFound
from vae_search.registry import contest as contests
from vae_search.registry import gates as health
from vae_search.registry.artifacts import (
    CARD_FILE,
    CARD_TEXT_FILE,
    PER_IMAGE_FILE,
    TEST_FILE,
    read_version,
    version_sha256,
    write_file,
    write_version,
)
from vae_search.registry.card import card_of, evidence_of, markdown_of
from vae_search.registry.contest import ContestResult, Interval
from vae_search.registry.evidence import Candidate, Evidence
from vae_search.registry.gates import Facts, GateResult, SampleQuality
from vae_search.registry.log import Action, Entry
from vae_search.registry.registry import Registry
from vae_search.registry.state import ModelState, Status
from vae_search.registry.workshop import TestScore, Workshop
from vae_search.states import State
from vae_search.store import artifacts, layout, sweeps
from vae_search.store.commit import Store
from vae_search.store.finalists import FinalistRow, Finalists, by_trial
from vae_search.store.json_files import from_json_bytes, to_json_bytes
from vae_search.store.per_image import PerImageBounds, seeds_to_parquet

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a candidate."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    KEPT = "kept"  # it had been promoted before; nothing has changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a promotion is held to.

    Raises:
        InvalidSpec: A limit is no gate's, or cannot be one.
    """

    min_gain: float = contests.MIN_GAIN_NATS
    limits: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", health.checked_limits(self.limits))

    @property
    def sha256(self) -> str:
        """Equal for equal rules, whether a limit was set or is the list's own."""
        limits = {gate.name: float(self.limits.get(gate.name, gate.limit)) for gate in health.GATES}
        content = json.dumps([self.min_gain, contests.CONFIDENCE, limits], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Gates and contest of one candidate against one champion."""

    gates: tuple[GateResult, ...]
    contest: ContestResult | None
    """None if there is no champion, or if a gate has stopped the candidate"""

    @property
    def healthy(self) -> bool:
        return all(gate.passed for gate in self.gates)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the candidate is refused; empty if it is to be promoted."""
        stopped = tuple(f"gate {gate.name}: {gate.explanation}" for gate in self.gates if not gate.passed)
        return stopped or (self.contest.reasons if self.contest else ())

    def to_json(self) -> dict[str, object]:
        """In plain values, for the log."""
        return {
            "gates": [asdict(gate) for gate in self.gates],
            "contest": asdict(self.contest) if self.contest else None,
        }

    @classmethod
    def of(cls, entry: Entry) -> "Ruling":
        """The ruling that an entry of the log was written with."""
        verdicts: Any = entry.verdicts
        found = verdicts["contest"]
        return cls(
            gates=tuple(GateResult(**gate) for gate in verdicts["gates"]),
            contest=None
            if found is None
            else ContestResult(
                over_seeds=Interval(**found["over_seeds"]),
                of_artifact=Interval(**found["of_artifact"]),
                min_gain=found["min_gain"],
                reasons=tuple(found["reasons"]),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a candidate, and on what grounds.

    Args:
        version: its number, if it has ever been promoted.
        champion: the model's champion now.
        test: only of the version that was promoted here and now.
    """

    outcome: Outcome
    model: str
    candidate: str
    version: int | None
    champion: int | None
    ruling: Ruling
    test: TestScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Champion:
    """The version that a candidate faces."""

    version: int
    evidence: Evidence
    files: Mapping[str, bytes]


def rule(candidate: Candidate, facts: Facts, champion: Evidence | None, rules: Rules) -> Ruling:
    """All gates; then, if it passes them and there is a champion, the contest. Pure.

    Raises:
        Conflict: Candidate and champion cannot be compared (invariant I7).
    """
    verdicts = health.judge(candidate, facts, rules.limits)
    if champion is None or not all(gate.passed for gate in verdicts):
        return Ruling(gates=verdicts, contest=None)
    return Ruling(gates=verdicts, contest=contests.contest(candidate.evidence, champion, min_gain=rules.min_gain))


def propose(
    store: Store, sweep: str, *, model: str, rules: Rules, workshop: Workshop, now: Callable[[], datetime]
) -> Decision:
    """Let a sweep's finalists ask for promotion, the best by mean first: the first that passes all gates faces the
    champion. Whoever fails a gate is entered into the log with all verdicts, and the next one asks.

    Returns:
        What became of the first that passed the gates, else of the best one.

    Raises:
        NotFound: There is no such sweep, or no confirm run of it has completed.
        Conflict: The champion was judged on another task.
        CorruptStore: The log, the champion or a confirm run is damaged.
    """
    registry = Registry(store, model, now=now)
    decisions = []
    for candidate in candidates(store, sweep):
        decision = consider(store, registry, candidate, rules=rules, workshop=workshop, now=now)
        if decision.outcome is not Outcome.REJECTED or decision.ruling.healthy:
            return decision
        decisions.append(decision)
    return decisions[0]


def candidates(store: Store, sweep: str) -> list[Candidate]:
    """The finalists of a sweep, the best by mean over its confirmed seeds first.

    Raises:
        NotFound: There is no such sweep, or no confirm run of it has completed.
        Conflict: They were not judged alike (invariant I7).
        CorruptStore: A confirm run's files are damaged.
    """
    key = sweeps.read(store, sweep).comparability_key
    finalists = Finalists(store, sweep)
    found = [
        Candidate(rows=tuple(rows), bounds={row.confirm_seed: _bounds(store, row) for row in rows if _completed(row)})
        for rows in by_trial(finalists.rows()).values()
        if any(map(_completed, rows))
    ]
    if finalists.damaged:
        raise CorruptStore(f"{finalists.damaged[0]}: damaged. `vae-search verify {sweep} --repair` sets it aside.")
    if not found:
        raise NotFound(f"sweep {sweep}: no confirm run has completed, so there is nothing to promote.")
    judged = {(of.comparability_key, of.images, of.iwae_k) for of in (candidate.evidence for candidate in found)}
    if len(judged) > 1 or next(iter(judged))[0] != key:
        raise Conflict(
            f"sweep {sweep}: its finalists were not judged alike, or not on the sweep's own task: (comparability key, "
            f"images, iwae_k) are {', '.join(f'({of[0][:12]}, {of[1]}, {of[2]})' for of in sorted(judged))}."
        )
    return sorted(found, key=lambda candidate: (candidate.evidence.mean_neg_iwae, candidate.trial))


def consider(
    store: Store,
    registry: Registry,
    candidate: Candidate,
    *,
    rules: Rules,
    workshop: Workshop,
    now: Callable[[], datetime],
) -> Decision:
    """One candidate's way to a verdict that is in the log. Asking again, or from two places at once, changes nothing.

    Raises:
        Conflict: The champion was judged on another task.
        CorruptStore: The log, the champion or the candidate's files are damaged.
    """
    bench = _Bench(store, registry.model, candidate, workshop)
    number = manifest_sha256 = None  # of the version that is ready to be promoted
    while True:
        state = registry.state()
        if number is not None and state.versions[number].status is not Status.RESERVED:
            number = None  # somebody has given a verdict on this candidate meanwhile
        earlier = _recorded(state, candidate, rules)
        if earlier is not None:
            return earlier
        champion = bench.champion(state)
        facts = bench.facts(champion)
        ruling = rule(candidate, facts, champion.evidence if champion else None, rules)
        about = {
            "candidate": candidate.name,
            "candidate_sha256": candidate.sha256,
            "rules_sha256": rules.sha256,
            "reasons": ruling.reasons,
            "verdicts": ruling.to_json(),
        }
        decision = Decision(
            outcome=Outcome.REJECTED,
            model=registry.model,
            candidate=candidate.name,
            version=None,
            champion=state.champion,
            ruling=ruling,
        )
        if ruling.reasons:
            if registry.add(Action.REJECT, seen=state, version=number, **about):
                return decision
        elif number is not None:
            if registry.add(Action.PROMOTE, seen=state, version=number, manifest_sha256=manifest_sha256, **about):
                test = bench.recorded_test([number])
                return replace(decision, outcome=Outcome.PROMOTED, version=number, champion=number, test=test)
        elif (ready := bench.finished(state)) is not None:
            number, manifest_sha256 = ready
        else:
            next_number = len(state.versions) + 1
            what = {"candidate": candidate.name, "candidate_sha256": candidate.sha256}
            if registry.add(Action.REGISTER, seen=state, version=next_number, **what):
                manifest_sha256 = bench.write(next_number, state, facts, ruling, at=now())
                number = next_number


class _Bench:
    """What takes long in a promotion, done once for each candidate and champion, however often is decided again."""

    def __init__(self, store: Store, model: str, candidate: Candidate, workshop: Workshop) -> None:
        self._store = store
        self._model = model
        self._candidate = candidate
        self._workshop = workshop
        self._files: Mapping[str, bytes] | None = None
        self._own_facts: tuple[float, SampleQuality] | None = None
        self._champion: Champion | None = None
        self._champion_quality: SampleQuality | None = None

    def champion(self, state: ModelState) -> Champion | None:
        if state.champion is None:
            return None
        if self._champion is None or self._champion.version != state.champion:
            promoted = state.promoted(state.champion)
            files = read_version(self._store, self._model, promoted.number, sha256=promoted.manifest_sha256)
            evidence = evidence_of(files, where=layout.version(self._model, promoted.number))
            self._champion = Champion(version=promoted.number, evidence=evidence, files=files)
            self._champion_quality = None
        return self._champion

    def facts(self, champion: Champion | None) -> Facts:
        recorded = self._candidate.evidence.artifact
        if self._own_facts is None:
            files = self._exported()
            self._own_facts = (
                self._workshop.reload_difference(files, recorded),
                self._workshop.sample_quality(files),
            )
        if champion is not None and self._champion_quality is None:
            self._champion_quality = self._workshop.sample_quality(champion.files)
        difference, quality = self._own_facts
        return Facts(
            reload_difference=difference,
            sample_quality=quality,
            champion_sample_quality=self._champion_quality if champion else None,
        )

    def finished(self, state: ModelState) -> tuple[int, str] | None:
        """A version of this candidate that somebody has written and not promoted: its number and manifest's hash."""
        for version in state.versions_of(self._candidate.sha256):
            if version.status is not Status.RESERVED:
                continue
            try:
                files = read_version(self._store, self._model, version.number, sha256=None)
            except (NotFound, CorruptStore) as trouble:
                logger.info("version %d of %s is passed over: %s", version.number, self._model, trouble)
                continue
            return version.number, version_sha256(files)
        return None

    def write(self, number: int, state: ModelState, facts: Facts, ruling: Ruling, *, at: datetime) -> str:
        """Write the files of a number that this process has reserved; the hash of their manifest."""
        candidate = self._candidate
        test = self._test_score(number, state)
        card = card_of(
            candidate,
            sweeps.read(self._store, candidate.sweep),
            model=self._model,
            version=number,
            created_at=at,
            facts=facts,
            gates=ruling.gates,
            contest=ruling.contest,
            champion=state.champion,
            test=test,
        )
        files = {
            **self._exported(),
            PER_IMAGE_FILE: seeds_to_parquet(candidate.bounds),
            TEST_FILE: _test_bytes(test),
            CARD_FILE: to_json_bytes(card),
            CARD_TEXT_FILE: markdown_of(card).encode(),
        }
        return write_version(self._store, self._model, number, files)

    def recorded_test(self, numbers: Sequence[int]) -> TestScore | None:
        """The test score in one of these versions, whole or not."""
        for number in numbers:
            path = f"{layout.version(self._model, number)}/{TEST_FILE}"
            try:
                fields: dict[str, Any] = from_json_bytes(self._store.read(path), where=path)
            except NotFound:
                continue
            return TestScore(**fields)
        return None

    def _test_score(self, number: int, state: ModelState) -> TestScore:
        """The candidate's score on the test images, durable before it is returned (invariant I9)."""
        test = self.recorded_test([version.number for version in state.versions_of(self._candidate.sha256)])
        if test is None:
            test = self._workshop.test_score(self._exported())
        write_file(self._store, f"{layout.version(self._model, number)}/{TEST_FILE}", _test_bytes(test))
        return test

    def _exported(self) -> Mapping[str, bytes]:
        if self._files is None:
            row = self._candidate.artifact_row
            kept = artifacts.load(self._store, row.sweep, row.key, sha256=row.artifact_sha256)
            self._files = self._workshop.export(self._candidate, kept)
        return self._files


def _recorded(state: ModelState, candidate: Candidate, rules: Rules) -> Decision | None:
    """The verdict on this candidate that is in the log already, if it still holds."""
    sha256 = candidate.sha256
    version = state.promoted_as(sha256)
    entry = state.rejection(sha256, rules.sha256)
    if version is not None:
        entry = next(e for e in state.entries if e.action is Action.PROMOTE and e.version == version)
    if entry is None:
        return None
    return Decision(
        outcome=Outcome.REJECTED if version is None else Outcome.KEPT,
        model=state.model,
        candidate=candidate.name,
        version=version,
        champion=state.champion,
        ruling=Ruling.of(entry),
    )


def _bounds(store: Store, row: FinalistRow) -> PerImageBounds:
    files = artifacts.load(store, row.sweep, row.key, sha256=row.artifact_sha256)
    where = f"{layout.artifact(row.sweep, row.key)}/{artifacts.PER_IMAGE_FILE}"
    if artifacts.PER_IMAGE_FILE not in files:
        raise CorruptStore(f"{where}: is missing. Restore it from a copy.")
    return PerImageBounds.from_parquet(files[artifacts.PER_IMAGE_FILE], where=where)


def _completed(row: FinalistRow) -> bool:
    return row.state is State.COMPLETE


def _test_bytes(test: TestScore) -> bytes:
    return to_json_bytes(asdict(test))
