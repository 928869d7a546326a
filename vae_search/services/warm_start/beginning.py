"""Beginning of a sweep with what earlier ones have found: the words for it, and the copies that it keeps."""

from collections.abc import Callable
from functools import partial

from vae_search.store.backends.base import Store
from vae_search.store.sweeps.sweep_record import SweepRecord

Borrow = Callable[[Store, SweepRecord], SweepRecord]


def begin(store: Store, new: SweepRecord, existing: SweepRecord | None) -> tuple[tuple[str, ...], Borrow | None]:
    """Sentences on what a sweep takes from others, or took, and the call that copies it into a new sweep's folder.

    Args:
        new: record of the sweep as it would be written now.
        existing: the stored record of the sweep, which has all that it took; None for a new sweep.

    Raises:
        NotFound: The spec names a sweep that is not there.
        CorruptStore: The record of one that it names is damaged.
    """
    if new.spec.warm_start is None:
        return (), None
    from vae_search.services.warm_start.plan import keep, kept_sentences, plan_warm_start

    if existing is not None:
        return kept_sentences(existing.warm_started), None
    plan = plan_warm_start(store, new)
    return ((), None) if plan is None else (plan.sentences, partial(keep, plan=plan))
