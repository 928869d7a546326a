"""The front of a Pareto sweep, as it is shown: who is on it, its ends, and whom `objective.prefer` picks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vae_search.core.criteria import Criteria
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.pareto import front_of_learners, point_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A COMPLETE trial, by what counts."""

    trial: int
    values: Mapping[str, float | None]
    """by criterion; neg_elbo and instability in nats per image"""
    rate: float | None = None
    """KL in nats per image; a collapsed model is on no front"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The COMPLETE trials that no other beats in all criteria."""

    of: Criteria
    members: tuple[Member, ...]
    """by the preferred criterion, the best first, NULL last; equal ones by neg_elbo, then by number"""

    @property
    def criteria(self) -> tuple[str, ...]:
        """Names of the criteria."""
        return self.of.names

    @property
    def prefer(self) -> str:
        """The criterion that orders it."""
        return self.of.prefer

    def extreme(self, criterion: str) -> Member | None:
        """The member with the best value, of equal ones the first; None if no member has a value."""
        having = [(value, member) for member in self.members if (value := member.values[criterion]) is not None]
        return min(having, key=lambda each: self.of.least_first(criterion, each[0]))[1] if having else None


def member_of(row: TrialRow, criteria: Criteria) -> Member:
    """A row, by what counts."""
    values = {name: row.value(name) for name in criteria.names}
    return Member(trial=row.trial, values=values, rate=row.rate)


def front_among(trials: Iterable[Member], criteria: Criteria) -> Front:
    """The front of some COMPLETE trials, neg_elbo being one of the criteria.

    Those of a front and further ones have the front that all trials have: so it can be kept up.
    """
    known = list(trials)
    points = [point_of(criteria, [member.values[name] for name in criteria.names]) for member in known]
    members = [known[place] for place in front_of_learners(points, [member.rate for member in known])]

    def order(member: Member) -> tuple[bool, float, float, int]:
        value = member.values[criteria.prefer]
        key = 0.0 if value is None else criteria.least_first(criteria.prefer, value)
        return (value is None, key, member.values["neg_elbo"] or 0.0, member.trial)

    return Front(of=criteria, members=tuple(sorted(members, key=order)))
