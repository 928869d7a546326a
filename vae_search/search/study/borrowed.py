"""Borrowed trials as the study of a fork learns of them."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from vae_search.errors import CorruptStore
from vae_search.search.rungs.rung_bounds import recorded_bounds
from vae_search.search.running_trial import SweepContext
from vae_search.search.study.study import TrialResult
from vae_search.search.trial_rows import trial_result
from vae_search.store.backends.base import Store
from vae_search.store.ledger.borrowed import read_borrowed
from vae_search.store.sweeps.forks import point_of

logger = logging.getLogger(__name__)


def borrowed_results(store: Store, context: SweepContext) -> Sequence[TrialResult]:
    """The trials that a sweep has borrowed, in a fixed order, with the lender's numbers; none if it is no fork.

    Their parameters are those of the sweep's own search space. Damage costs the sampler knowledge, and no more.
    """
    if context.borrowing is None:
        return ()
    try:
        borrowed = read_borrowed(store, context.spec.name, context.borrowing)
    except CorruptStore as error:
        logger.warning("the sampler begins without borrowed trials: %s", error)
        return ()
    results = []
    for row in borrowed.rows:
        point = point_of(context.spec.search_space, row.params)
        if not isinstance(point, str):
            bounds = recorded_bounds(borrowed.curves.get(row.trial, ()))
            results.append(trial_result(replace(row, params=point), bounds, context.spec))
    return results
