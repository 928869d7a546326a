"""Derived copies of a sweep's rows and curves, one file each, for readers in a hurry.

Raw rows stay as they are and remain the truth: a copy is used only for rows whose own files are there, anyone may
remove it, and the next driver makes it again.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import layout
from vae_search.store.commit import Store
from vae_search.store.rows import (
    EpochRow,
    TrialRow,
    epochs_from_parquet,
    epochs_to_parquet,
    trial_numbers,
    trials_from_parquet,
    trials_to_parquet,
)
from vae_search.store.sealed import check_seal


def finished_prefix(finished: Collection[int]) -> int:
    """How many numbers from 0 on are finished without a gap."""
    length = 0
    while length in finished:
        length += 1
    return length


def write_compact(
    store: Store, sweep: str, rows: Sequence[TrialRow], curves: Mapping[int, Sequence[EpochRow]], *, length: int
) -> None:
    """Write the copies of length `length` and remove shorter ones. The caller holds the sweep's lease.

    May be interrupted and called again: the copy of the rows is written last and makes the pair whole.

    Raises:
        StoreUnavailable: There is no copy of this length; nothing else has changed.
    """
    within = [row for row in rows if row.trial < length]
    epochs = [epoch for row in within for epoch in curves.get(row.trial, ())]
    epochs_path, trials_path = layout.compact_epochs(sweep, length), layout.compact_trials(sweep, length)
    store.replace(epochs_path, epochs_to_parquet(epochs, path=epochs_path))
    store.replace(trials_path, trials_to_parquet(within, path=trials_path))
    for path in store.list(layout.compact(sweep)):
        if path not in (epochs_path, trials_path):
            store.remove(path)


def read_compact(store: Store, sweep: str) -> dict[int, TrialRow]:
    """The rows of the longest intact copy, by trial; a damaged one is passed over, as if it had been removed."""
    for length in layout.compact_lengths(store.list(layout.compact(sweep))):
        path = layout.compact_trials(sweep, length)
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
    for length in layout.compact_lengths(store.list(layout.compact(sweep))):
        trials_path, epochs_path = layout.compact_trials(sweep, length), layout.compact_epochs(sweep, length)
        try:
            held = trial_numbers(store.read(trials_path), path=trials_path)
            check_seal(store.read(epochs_path), path=epochs_path)
        except (CorruptStore, NotFound):
            continue
        if held == {number for number in raw if number < length}:
            return length
    return 0


def read_compact_curves(store: Store, sweep: str) -> dict[int, list[EpochRow]]:
    """The curves of the longest copy whose curves are intact, by trial; none if there is no such copy."""
    for length in layout.compact_lengths(store.list(layout.compact(sweep))):
        path = layout.compact_epochs(sweep, length)
        curves: dict[int, list[EpochRow]] = defaultdict(list)
        try:
            for epoch in epochs_from_parquet(store.read(path), path=path):
                curves[epoch.trial].append(epoch)
        except (CorruptStore, NotFound):
            continue
        return dict(curves)
    return {}
