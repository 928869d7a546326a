"""Findings of an inspection: what is wrong with a sweep's files, and what is left over."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something in the store that should not be so.

    Args:
        damaged: information is lost or wrong; else it is a leftover that the next driver or `gc` removes.
    """

    path: str
    problem: str
    damaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Result of `inspect` for one sweep."""

    sweep: str
    rows: int
    finalists: int
    """rows of confirm runs"""
    curves: int
    artifacts: int
    set_aside: tuple[int, ...]
    """trials whose rows were damaged and are set aside; their numbers stay used"""
    findings: tuple[Finding, ...]
    renamed_from: str | None = None
    """name in the sweep's own record, if somebody renamed or copied its folder; nothing is set aside then"""

    @property
    def damaged(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.damaged)
