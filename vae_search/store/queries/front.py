"""The front of a Pareto sweep, as it is shown: who is on it, its ends, and whom `objective.prefer` picks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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

    criteria: tuple[str, ...]
    prefer: str
    """the criterion that orders it"""
    members: tuple[Member, ...]
    """by `prefer`, least first, NULL last; equal ones by neg_elbo, then by number"""

    def extreme(self, criterion: str) -> Member | None:
        """The member with the least value, of equal ones the first; None if no member has a value."""
        having = [(value, member) for member in self.members if (value := member.values[criterion]) is not None]
        return min(having, key=lambda each: each[0])[1] if having else None


def member_of(row: TrialRow, criteria: Iterable[str]) -> Member:
    """A row, by what counts."""
    values = {name: row.value(name) for name in criteria}
    return Member(trial=row.trial, values=values, rate=row.rate)


def front_among(trials: Iterable[Member], *, criteria: tuple[str, ...], prefer: str) -> Front:
    """The front of some COMPLETE trials, neg_elbo being one of the criteria.

    Those of a front and further ones have the front that all trials have: so it can be kept up.
    """
    known = list(trials)
    places = front_of_learners([point_of(member.values) for member in known], [member.rate for member in known])
    members = [known[place] for place in places]

    def order(member: Member) -> tuple[bool, float, float, int]:
        value = member.values[prefer]
        return (value is None, value or 0.0, member.values["neg_elbo"] or 0.0, member.trial)

    return Front(criteria=criteria, prefer=prefer, members=tuple(sorted(members, key=order)))
