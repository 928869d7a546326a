"""Derived copies of a sweep's rows and curves, one file each, for readers in a hurry.

Raw rows stay as they are and remain the truth: a copy is used only for rows whose own files are there, anyone may
remove it, and the next driver makes it again.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger.checksums import check_seal
from vae_search.store.ledger.rows import (
    EPOCH_SCHEMA,
    TRIAL_SCHEMA,
    EpochRow,
    TrialRow,
    columns_from_parquet,
    epochs_from_parquet,
    epochs_to_parquet,
    trial_numbers,
    trials_from_parquet,
    trials_to_parquet,
)
from vae_search.store.paths import SweepPaths


def finished_prefix(finished: Collection[int]) -> int:
    """Length of the finished prefix: numbers from 0 on without a gap."""
    length = 0
    while length in finished:
        length += 1
    return length


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Both files of a copy, every byte checked, with the columns of today."""

    length: int
    trials: pa.Table
    epochs: pa.Table


def write_compact(
    store: Store,
    sweep: str,
    rows: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    *,
    after: Copy | None,
    length: int,
) -> None:
    """Write the copies of length `length` and remove shorter ones. The caller holds the sweep's lease.

    May be interrupted and called again: the copy of the rows is written last and makes the pair whole.

    Args:
        rows: the intact rows that `after` does not hold, by number.
        curves: theirs, by number.

    Raises:
        StoreUnavailable: There is no copy of this length; nothing else has changed.
    """
    within = [row for row in rows if row.trial < length]
    epochs = [epoch for row in within for epoch in curves.get(row.trial, ())]
    epochs_path, trials_path = SweepPaths(sweep).compact_epochs(length), SweepPaths(sweep).compact_trials(length)
    store.replace(epochs_path, epochs_to_parquet(epochs, path=epochs_path, after=after.epochs if after else None))
    store.replace(trials_path, trials_to_parquet(within, path=trials_path, after=after.trials if after else None))
    for path in store.list(SweepPaths(sweep).compact):
        if path not in (epochs_path, trials_path):
            store.remove(path)


def read_compact(store: Store, sweep: str) -> dict[int, TrialRow]:
    """The rows of the longest intact copy, by trial; a damaged one is passed over, as if it had been removed."""
    for length in store_paths.compact_lengths(store.list(SweepPaths(sweep).compact)):
        path = SweepPaths(sweep).compact_trials(length)
        try:
            rows = trials_from_parquet(store.read(path), path=path)
        except (CorruptStore, NotFound):  # or a driver has just removed it for a longer one
            continue
        return {row.trial: row for row in rows}
    return {}


def usable_length(store: Store, sweep: str, raw: Collection[int]) -> int:
    """The length of a copy whose both files are intact and that holds just those of the `raw` rows; 0 if there is none.

    Args:
        raw: the numbers of the rows whose own files are there.
    """
    for length in store_paths.compact_lengths(store.list(SweepPaths(sweep).compact)):
        trials_path, epochs_path = SweepPaths(sweep).compact_trials(length), SweepPaths(sweep).compact_epochs(length)
        try:
            held = trial_numbers(store.read(trials_path), path=trials_path)
            check_seal(store.read(epochs_path), path=epochs_path)
        except (CorruptStore, NotFound):
            continue
        if held == {number for number in raw if number < length}:
            return length
    return 0


def usable_copy(store: Store, sweep: str, raw: Collection[int]) -> Copy | None:
    """The copy of `usable_length`."""
    length = usable_length(store, sweep, raw)
    if not length:
        return None
    trials_path, epochs_path = SweepPaths(sweep).compact_trials(length), SweepPaths(sweep).compact_epochs(length)
    try:
        return Copy(
            length=length,
            trials=columns_from_parquet(store.read(trials_path), path=trials_path, schema=TRIAL_SCHEMA),
            epochs=columns_from_parquet(store.read(epochs_path), path=epochs_path, schema=EPOCH_SCHEMA),
        )
    except (CorruptStore, NotFound):  # somebody has removed it since
        return None


def read_compact_curves(store: Store, sweep: str) -> dict[int, list[EpochRow]]:
    """The curves of the longest copy whose curves are intact, by trial; none if there is no such copy."""
    for length in store_paths.compact_lengths(store.list(SweepPaths(sweep).compact)):
        path = SweepPaths(sweep).compact_epochs(length)
        curves: dict[int, list[EpochRow]] = defaultdict(list)
        try:
            for epoch in epochs_from_parquet(store.read(path), path=path):
                curves[epoch.trial].append(epoch)
        except (CorruptStore, NotFound):
            continue
        return dict(curves)
    return {}
