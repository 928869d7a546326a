"""Trials that a fork has borrowed: copies of another sweep's rows and curves in the fork's own folder.

They are written before the fork's record, which has their digests: a fork is there with all of them, or not at all.
Their names have the digests too, so that nobody who made other copies, and slept meanwhile, ever replaces them. No
table holds them, so that nothing counts or ranks them as the fork's own.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vae_search.errors import CorruptStore
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.ledger.rows import (
    EpochRow,
    TrialRow,
    epochs_from_parquet,
    epochs_to_parquet,
    trials_from_parquet,
    trials_to_parquet,
)
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.borrowing import Borrowing

TABLES = ("trials", "epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowedTrials:
    """Rows of another sweep, with its numbers, and their learning curves."""

    rows: tuple[TrialRow, ...]
    curves: Mapping[int, Sequence[EpochRow]]


def write_borrowed(
    store: Store, sweep: str, trials: BorrowedTrials, *, lender: str, incarnation: str | None
) -> Borrowing:
    """Write the copies for a fork that has no record yet; what its record is to say of them.

    May be interrupted and called again. The caller holds the fork's lease.

    Args:
        sweep: the fork.
        lender: the sweep that the rows are of.
        incarnation: the lender's.

    Raises:
        StoreUnavailable: They may be there in part, which nobody looks at.
    """
    paths = SweepPaths(sweep)
    epochs = [epoch for row in trials.rows for epoch in trials.curves.get(row.trial, ())]
    # Sealed for names without digests, which follow from the sealed bytes.
    contents = {
        "trials": trials_to_parquet(trials.rows, path=paths.borrowed("trials")),
        "epochs": epochs_to_parquet(epochs, path=paths.borrowed("epochs")),
    }
    sha256 = {table: hashlib.sha256(content).hexdigest() for table, content in contents.items()}
    for table, content in contents.items():
        path = paths.borrowed(table, sha256[table])
        try:
            store.create(path, content)
        except AlreadyThere:  # of an earlier attempt
            if store.read(path) != content:
                store.replace(path, content)  # damaged: its name says what it must hold
    return Borrowing(sweep=lender, incarnation=incarnation, trials=len(trials.rows), sha256=sha256)


def read_borrowed(store: Store, sweep: str, borrowing: Borrowing) -> BorrowedTrials:
    """Read the copies.

    Raises:
        CorruptStore: One is damaged or missing.
    """
    trials, epochs = (_checked(store, sweep, borrowing, table) for table in TABLES)
    curves: dict[int, list[EpochRow]] = {}
    for epoch in epochs_from_parquet(epochs, path=SweepPaths(sweep).borrowed("epochs")):
        curves.setdefault(epoch.trial, []).append(epoch)
    rows = trials_from_parquet(trials, path=SweepPaths(sweep).borrowed("trials"))
    return BorrowedTrials(rows=tuple(rows), curves=curves)


def copies(sweep: str, borrowing: Borrowing, *, among: Collection[str]) -> dict[str, str]:
    """The file of each table among those that are there; without one the file that should be."""
    paths = SweepPaths(sweep)
    found = {}
    for table in TABLES:
        path, former = paths.borrowed(table, borrowing.sha256.get(table)), paths.borrowed(table)
        found[table] = former if former in among and path not in among else path  # as older versions named it
    return found


def damaged_copies(store: Store, sweep: str, borrowing: Borrowing) -> dict[str, str]:
    """Find the copies that are damaged or missing, and what is wrong with each."""
    found = {}
    for table in TABLES:
        try:
            _checked(store, sweep, borrowing, table)
        except CorruptStore as error:
            found[error.path or SweepPaths(sweep).borrowed(table)] = error.problem
    return found


def _checked(store: Store, sweep: str, borrowing: Borrowing, table: str) -> bytes:
    folder = SweepPaths(sweep).borrowed(table).rpartition("/")[0]
    path = copies(sweep, borrowing, among=store.list(folder))[table]
    (content,) = store.read_many([path])
    if content is None:
        raise CorruptStore(
            f"is missing, but the sweep borrows from {borrowing.sweep}.", path=path, advice="Restore it from a copy."
        )
    if hashlib.sha256(content).hexdigest() != borrowing.sha256.get(table):
        raise CorruptStore(
            "is not the copy that the sweep's record names.", path=path, advice="Restore it from a copy."
        )
    return content
