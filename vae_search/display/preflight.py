"""Checks of `doctor`: a line for each, and below it the remedy."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from vae_search.display.console import say, show_json

if TYPE_CHECKING:
    from vae_search.runtime.cluster.preflight_checks import Check


def show_checks(checks: "Sequence[Check]", *, as_json: bool) -> None:
    """Print each check."""
    if as_json:
        show_json([asdict(check) for check in checks])
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{'ok' if check.ok else 'trouble':<7}  {check.name:<{width}}  {check.found}")
        if check.remedy:
            say(f"{'':<{7 + 2 + width + 2}}{check.remedy}")


def show_waiting(what: str) -> None:
    """Print what is waited for, before the checks that come after it."""
    say(f"{what} …")
