"""Commands in Python to a sweep while it runs, in the name of the system's user."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_search.api.stores import opened


def enqueue(sweep: str, params: Mapping[str, int | float | str], *, store: str | Path | None = None) -> int:
    """Have a config tried next by a sweep, beside those of the sampler; the number of the command.

    Args:
        params: values by parameter; the sampler draws the others.

    Raises:
        InvalidSpec, NotFound, Conflict: It is no config of the search space; there is no such sweep; no place is left.
    """
    from vae_search.services.control.commands import enqueue_config

    return enqueue_config(opened(store), sweep, params, **_by_user())


def stop_trial(sweep: str, trial: int, *, store: str | Path | None = None) -> int:
    """Let a trial of a sweep end as it stands, as PRUNED; the number of the command.

    Raises:
        NotFound, Conflict: There is no such sweep or trial; it has ended.
    """
    from vae_search.services.control.commands import stop_trial

    return stop_trial(opened(store), sweep, trial, **_by_user())


def change(sweep: str, settings: Mapping[str, int | float | str], *, store: str | Path | None = None) -> int:
    """Change settings of a sweep while it runs; the number of the command.

    Args:
        settings: values of `budget.trials`, `budget.minutes` or `resources.concurrency`.

    Raises:
        InvalidSpec, NotFound, Conflict: It cannot be set; there is no such sweep; it has finished.
    """
    from vae_search.services.control.commands import change_settings

    return change_settings(opened(store), sweep, settings, **_by_user())


def _by_user() -> dict[str, Any]:
    """Giver of a command, and the clock that dates it."""
    from datetime import UTC, datetime

    from vae_search.core.machine import system_user

    return {"actor": system_user(), "now": lambda: datetime.now(UTC)}
