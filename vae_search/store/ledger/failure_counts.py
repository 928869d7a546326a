"""Failure counts of a running trial: the first failure may be a neighbour's fault, the second is the config's.

A strike is a file in the trial's running folder, so that it counts across workers, drivers and machines, and goes with
the folder when the trial is finished. A timeout's belongs to the limit under which it was earned.
"""

import re
import secrets
from collections import Counter

from vae_search.core.trial_state import Reason
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.paths import SweepPaths

MAX_FAILURES = 2  # strikes of one kind end a trial as FAIL


def record_failure(
    store: Store, sweep: str, key: str, reason: Reason, *, detail: str, limit_s: float | None = None
) -> None:
    """Note that a trial has failed for `reason`.

    Args:
        key: The trial's or confirm run's, as in paths.
        detail: For people.
        limit_s: Of a timeout: the `trial_timeout_s` that it was over.

    Raises:
        StoreUnavailable: It was not noted.
    """
    path = SweepPaths(sweep).strike(key, reason.value, secrets.token_hex(8))
    record = {"reason": reason.value, "detail": detail} | ({} if limit_s is None else {"limit_s": limit_s})
    store.create(path, to_json_bytes(record))


def failure_counts(store: Store, sweep: str, key: str, *, trial_timeout_s: float | None) -> Counter[Reason]:
    """Failures of a running trial so far, by reason.

    Args:
        trial_timeout_s: The limit of today. A trial that was over a shorter one, or over one that was not recorded, may
            be within it; None: no trial takes too long.

    Raises:
        CorruptStore: The record of a timeout is damaged.
    """
    counts: Counter[Reason] = Counter()
    for path in store.list(SweepPaths(sweep).run(key)):
        name = strike_of(path)
        if name is None:
            continue
        reason = Reason(name)
        if reason is not Reason.TIMEOUT or _was_over(store, path, trial_timeout_s):
            counts[reason] += 1
    return counts


def strike_of(path: str) -> str | None:
    """The reason of the strike that a file below `running/` is, if it is one."""
    found = re.search(r"/strike-([a-z]+)-[0-9a-f]+\.json$", path)
    return found[1] if found else None


def _was_over(store: Store, path: str, limit_s: float | None) -> bool:
    """True if the timeout at `path` shows that the trial takes longer than `limit_s`."""
    if limit_s is None:
        return False
    earned_s = from_json_bytes(store.read(path), where=path).get("limit_s")
    return isinstance(earned_s, int | float) and earned_s >= limit_s
