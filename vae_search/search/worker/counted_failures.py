"""Failures of a run that may be its neighbours' fault, counted in the store: only the second one ends it."""

import logging
import traceback

from vae_search.core.trial_state import Reason
from vae_search.search.messages import Failure
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.ledger.failure_counts import MAX_FAILURES, failure_counts, record_failure

logger = logging.getLogger(__name__)

ERROR_LINES = 12


class CountedFailures:
    """Failures by memory and time of one sweep's runs, across workers and drivers."""

    def __init__(self, store: Store, spec: SweepSpec) -> None:
        self._store = store
        self._sweep = spec.name
        self._timeout_s = spec.trial_timeout_s

    def end_of(self, key: str) -> Failure | None:
        """The failure that ends a run before it goes on; None if none has come twice."""
        counted = failure_counts(self._store, self._sweep, key, trial_timeout_s=self._timeout_s)
        if counted[Reason.TIMEOUT] >= MAX_FAILURES:
            return Failure(reason=Reason.TIMEOUT, error=self._over_time)
        if counted[Reason.OOM] >= MAX_FAILURES:
            return Failure(reason=Reason.OOM, error="the worker ran out of memory twice, on its node as a whole")
        return None

    def note_out_of_memory(self, key: str, error: Exception) -> Failure | None:
        """Count the error that is handled now; the failure that ends the run, None if it may try again."""
        detail = told(error)
        record_failure(self._store, self._sweep, key, Reason.OOM, detail=detail)
        counted = failure_counts(self._store, self._sweep, key, trial_timeout_s=self._timeout_s)
        return Failure(reason=Reason.OOM, error=detail) if counted[Reason.OOM] >= MAX_FAILURES else None

    def note_timeout(self, key: str) -> None:
        """Count an attempt that took too long, whose worker ends."""
        logger.error("run %s: %s; this worker ends", key, self._over_time)
        record_failure(self._store, self._sweep, key, Reason.TIMEOUT, detail=self._over_time, limit_s=self._timeout_s)

    @property
    def _over_time(self) -> str:
        return f"an attempt took longer than trial_timeout_s = {self._timeout_s:g} s, {MAX_FAILURES} times"


def told(error: Exception) -> str:
    """One line that says what an error that is handled now is, then the end of its traceback."""
    summary = next(iter(f"{type(error).__name__}: {error}".splitlines()))
    return "\n".join([summary, *traceback.format_exc().strip().splitlines()[-ERROR_LINES:]])
