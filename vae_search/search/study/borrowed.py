"""Borrowed trials as the study learns of them: those of a fork, and those of a warm start."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vae_search.errors import CorruptStore
from vae_search.search.rungs.rung_bounds import recorded_bounds
from vae_search.search.running_trial import SweepContext
from vae_search.search.study.study import TrialResult
from vae_search.search.study.trial_results import trial_result
from vae_search.store.backends.base import Store
from vae_search.store.ledger.borrowed import read_borrowed
from vae_search.store.sweeps.borrowing import Borrowing
from vae_search.store.sweeps.forks import point_of

logger = logging.getLogger(__name__)


def borrowed_results(store: Store, context: SweepContext) -> Sequence[TrialResult]:
    """The trials that a sweep has borrowed, in a fixed order, with the lenders' numbers; none if it has no lender.

    Their parameters are those of the sweep's own search space. Damage costs the sampler knowledge, and no more.
    """
    return tuple(result for lender in context.lenders for result in _results_of(store, context, lender))


def _results_of(store: Store, context: SweepContext, borrowing: Borrowing) -> Iterator[TrialResult]:
    try:
        borrowed = read_borrowed(store, context.spec.name, borrowing)
    except CorruptStore as error:
        logger.warning("the sampler begins without the trials of %s: %s", borrowing.sweep, error)
        return
    for row in borrowed.rows:
        point = point_of(context.spec.search_space, row.params)
        if not isinstance(point, str):
            bounds = recorded_bounds(borrowed.curves.get(row.trial, ()))
            yield trial_result(replace(row, params=point), bounds, context.spec)
