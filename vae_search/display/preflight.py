"""What `doctor` prints: a line for each check, and below it what to do."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from vae_search.display.console import say, show_json
from vae_search.errors import ClusterTrouble, StoreUnavailable

if TYPE_CHECKING:
    from vae_search.runtime.cluster.preflight_checks import Check


def show_checks(checks: "Sequence[Check]", *, as_json: bool) -> None:
    """Each check.

    Raises:
        ClusterTrouble: Something besides the store is in trouble.
        StoreUnavailable: Only the store is.
    """
    if as_json:
        show_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            say(f"{'ok' if check.ok else 'trouble':<7}  {check.name:<{width}}  {check.found}")
            if check.remedy:
                say(f"{'':<{7 + 2 + width + 2}}{check.remedy}")
    troubles = [check for check in checks if not check.ok]
    if troubles:
        names = ", ".join(check.name for check in troubles)
        kind = StoreUnavailable if all(check.area == "store" for check in troubles) else ClusterTrouble
        raise kind(f"{len(troubles)} of {len(checks)} checks found trouble: {names}.")
