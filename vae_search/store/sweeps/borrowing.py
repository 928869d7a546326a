"""Borrowing: the part of a fork's record that says which trials its sampler knows from another sweep."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrowing:
    """Trials of another sweep, whose copies lie in the fork's folder; they count for nothing but the sampler."""

    sweep: str
    """name of the lender"""
    incarnation: str | None
    """the lender's, which may have been removed since"""
    trials: int
    """how many"""
    sha256: Mapping[str, str]
    """of the copies of its rows (`trials`) and curves (`epochs`)"""

    def to_json(self) -> dict[str, object]:
        """Plain values, for the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: object) -> "Borrowing | None":
        """The borrowing of `to_json`; None if the record has none."""
        if not isinstance(fields, Mapping):
            return None
        sweep, trials, sha256 = fields.get("sweep"), fields.get("trials"), fields.get("sha256")
        if not (isinstance(sweep, str) and isinstance(trials, int) and isinstance(sha256, Mapping)):
            return None
        incarnation = fields.get("incarnation")
        return cls(
            sweep=sweep,
            incarnation=incarnation if isinstance(incarnation, str) else None,
            trials=trials,
            sha256={str(table): str(digest) for table, digest in sha256.items()},
        )
