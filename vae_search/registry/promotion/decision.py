"""Gates and contest together: what a candidate is told, and why. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vae_search.core.criteria import METRIC
from vae_search.registry.log import Entry
from vae_search.registry.promotion import champion_test as contests
from vae_search.registry.promotion import gates as health
from vae_search.registry.promotion.champion_test import ContestResult, Interval
from vae_search.registry.promotion.evidence import Candidate, Evidence
from vae_search.registry.promotion.gate_results import MIN_GAIN_NATS, GateInputs, GateResult
from vae_search.registry.state import Turn

COUNTING_GATES = ("seeds", "completed")  # they need no measurement
NOTHING = GateInputs(reload_difference=None, sample_quality=None, champion_sample_quality=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPolicy:
    """Policy of a promotion: the limits of gates and the least gain.

    Args:
        needs_approval: whether who passes waits for somebody's approval; a model that once asked for it asks always.
        more_is_better: metrics with a limit that must be at least that; others at most.
        fit_prior: Gaussians of the prior that is fitted to a candidate; 0: it keeps its own.

    Raises:
        InvalidSpec: A limit is no gate's, or cannot be one.
    """

    min_gain: float = MIN_GAIN_NATS
    limits: Mapping[str, float] = field(default_factory=dict)
    needs_approval: bool = False
    more_is_better: frozenset[str] = frozenset()
    fit_prior: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", health.checked_limits(self.limits))

    @property
    def sha256(self) -> str:
        """Equal for equal rules of the verdicts, whether a limit was set or is the list's own."""
        limits = {gate.name: float(self.limits.get(gate.name, gate.limit)) for gate in health.GATES}
        levels = [contests.CONFIDENCE, contests.LIFE_LEVEL, contests.level_of(1)]
        rules: list[object] = [self.min_gain, levels, limits]
        if metrics := {name: limit for name, limit in self.limits.items() if name.startswith(METRIC)}:
            rules += [metrics, sorted(self.more_is_better)]
        if self.fit_prior:  # samples are compared with it, so a verdict without it is another
            rules.append({"fit_prior": self.fit_prior})
        content = json.dumps(rules, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionDecision:
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
    def of(cls, entry: Entry) -> "PromotionDecision":
        """The ruling that an entry of the log was written with."""
        verdicts: Any = entry.verdicts
        found = verdicts["contest"]
        return cls(
            gates=tuple(GateResult(**gate) for gate in verdicts["gates"]),
            contest=None
            if found is None
            else ContestResult(
                **found  # of older versions without the last ones
                | {
                    "over_seeds": Interval(**found["over_seeds"]),
                    "of_artifact": Interval(**found["of_artifact"]),
                    "reasons": tuple(found["reasons"]),
                    "remarks": tuple(found.get("remarks", ())),
                }
            ),
        )


def refused_unmeasured(candidate: Candidate, rules: PromotionPolicy) -> PromotionDecision | None:
    """The gates that count confirm runs, if one of them stops the candidate; None if it has to be measured. Pure.

    A finalist without its seeds cannot be promoted, so nothing is exported, loaded and sampled to find that out.
    """
    counting = [gate for gate in health.GATES if gate.name in COUNTING_GATES]
    verdicts = tuple(gate.judge(candidate, NOTHING, rules.limits.get(gate.name, gate.limit)) for gate in counting)
    return None if all(gate.passed for gate in verdicts) else PromotionDecision(gates=verdicts, contest=None)


def decide(
    candidate: Candidate,
    facts: GateInputs,
    champion: Evidence | None,
    rules: PromotionPolicy,
    *,
    turn: Turn,
    same_seeds: bool = False,
) -> PromotionDecision:
    """All gates; then, if it passes them and there is a champion, the contest. Pure.

    Args:
        turn: among the champion's contests.
        same_seeds: see `champion_test`.

    Raises:
        Conflict: Candidate and champion cannot be compared (invariant I7).
    """
    verdicts = health.judge(
        candidate, replace(facts, min_gain=rules.min_gain), rules.limits, more_is_better=rules.more_is_better
    )
    if champion is None or not all(gate.passed for gate in verdicts):
        return PromotionDecision(gates=verdicts, contest=None)
    result = contests.champion_test(
        candidate.evidence, champion, turn=turn, min_gain=rules.min_gain, same_seeds=same_seeds
    )
    return PromotionDecision(gates=verdicts, contest=result)
