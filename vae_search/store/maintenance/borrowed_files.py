"""Borrowed trials among the files of a sweep: damage to them, and what a fork that was interrupted has left."""

from collections.abc import Iterator, Sequence

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.ledger.borrowed import TABLES, damaged_copies
from vae_search.store.maintenance.findings import Finding
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record


def borrowed_findings(store: Store, sweep: str, paths: Sequence[str]) -> Iterator[Finding]:
    """Check the copies of borrowed trials.

    Args:
        paths: of the sweep's files.
    """
    try:
        borrowing = sweep_record.read_stored(store, sweep).borrowing
    except (CorruptStore, NotFound):  # which is a finding of its own
        return
    if borrowing is not None:
        for path, problem in damaged_copies(store, sweep, borrowing).items():
            yield Finding(path=path, problem=problem, damaged=True)
        return
    for path in {*map(SweepPaths(sweep).borrowed, TABLES)}.intersection(paths):
        yield Finding(path=path, problem="its sweep borrows no trials: left behind by a fork", damaged=False)
