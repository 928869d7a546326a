"""Failure counts of a running trial: the first failure may be a neighbour's fault, the second is the config's.

A strike is a file in the trial's running folder, so that it counts across workers, drivers and machines, and goes with
the folder when the trial is finished.
"""

import secrets
from collections import Counter

from vae_search.core.trial_state import Reason
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.paths import SweepPaths

MAX_FAILURES = 2  # strikes of one kind end a trial as FAIL


def record_failure(store: Store, sweep: str, key: str, reason: Reason, *, detail: str) -> None:
    """Note that a trial has failed for `reason`.

    Args:
        key: The trial's or confirm run's, as in paths.
        detail: For people.

    Raises:
        StoreUnavailable: It was not noted.
    """
    path = SweepPaths(sweep).strike(key, reason.value, secrets.token_hex(8))
    store.create(path, to_json_bytes({"reason": reason.value, "detail": detail}))


def failure_counts(store: Store, sweep: str, key: str) -> Counter[Reason]:
    """Failures of a running trial so far, by reason."""
    found = (store_paths.strike_of(path) for path in store.list(SweepPaths(sweep).run(key)))
    return Counter(Reason(reason) for reason in found if reason is not None)
