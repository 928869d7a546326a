"""Borrowed trials among the files of a sweep: damage to them, and what a fork that was interrupted has left."""

from collections.abc import Iterator, Sequence

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger.borrowed import copies, damaged_copies
from vae_search.store.maintenance.findings import Finding
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record


def borrowed_findings(store: Store, sweep: str, paths: Sequence[str]) -> Iterator[Finding]:
    """Check the copies of borrowed trials.

    Args:
        paths: of the sweep's files.
    """
    try:
        lenders = sweep_record.read_stored(store, sweep).lenders
    except (CorruptStore, NotFound):  # which is a finding of its own
        return
    own: set[str] = set()
    for borrowing in lenders:
        for path, problem in damaged_copies(store, sweep, borrowing).items():
            yield Finding(path=path, problem=problem, damaged=True)
        own |= {*copies(sweep, borrowing, among=paths).values()}
    here = SweepPaths(sweep).borrowed("trials").rpartition("/")[0]
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder == here and store_paths.BORROWED_NAME.fullmatch(name) and path not in own:
            yield Finding(path=path, problem="its sweep borrows no such trials: left behind by a fork", damaged=False)
