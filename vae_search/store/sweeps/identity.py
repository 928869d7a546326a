"""Identity of a sweep among all that ever had its name: the mark that its rows and suggestions bear."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.sweeps.sweep_record import StoredRecord, read_stored

SET_ASIDE = "Set it aside with `vae-search verify --repair`."


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepIdentity:
    """Mark by which a row is known to be a sweep's own, and not an earlier one's of the same name."""

    incarnation: str | None
    """None for a sweep of an older version, whose rows have none either"""

    def problem_of(self, incarnation: object) -> str | None:
        """The reason why what bears this mark is another sweep's; None if it is this one's."""
        if incarnation == self.incarnation:
            return None
        return "belongs to another sweep of this name, which was removed or lies in a copy"

    def check(self, incarnation: object, *, path: str) -> None:
        """Refuse what bears another sweep's mark.

        Raises:
            CorruptStore: The file `path` does.
        """
        if (problem := self.problem_of(incarnation)) is not None:
            raise CorruptStore(f"{problem}.", path=path, advice=SET_ASIDE)


class MarkedRow(Protocol):
    """Row that bears its sweep's mark."""

    @property
    def key(self) -> str:
        """The run's, as in paths."""

    @property
    def incarnation(self) -> str | None:
        """The mark."""


def foreign_rows(rows: Iterable[MarkedRow], identity: SweepIdentity | None, *, folder: str) -> dict[str, str]:
    """Find the rows of another sweep: their files in `folder`, and how each is known to be one.

    Args:
        identity: of the sweep; None if nobody can tell.
    """
    if identity is None:
        return {}
    problems = {f"{folder}/{row.key}.parquet": identity.problem_of(row.incarnation) for row in rows}
    return {path: problem for path, problem in problems.items() if problem is not None}


def identity_of(store: Store, sweep: str, record: StoredRecord | None = None) -> SweepIdentity | None:
    """Read the mark of a sweep's rows; None if it has no readable record, so that nobody can tell.

    Args:
        record: of the sweep, if it has been read already.
    """
    try:
        return SweepIdentity(incarnation=(record or read_stored(store, sweep)).incarnation)
    except (NotFound, CorruptStore):
        return None
