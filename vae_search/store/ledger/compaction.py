"""Derived copies of a sweep's rows and curves, one file each, for readers in a hurry.

Raw rows stay as they are and remain the truth: a copy is used only for rows whose own files are there, anyone may
remove it, and the next driver makes it again. A copy holds whichever trials had ended, and its name says how many: an
early one may wait at a rung long after hundreds of later ones have ended.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.ledger.checksums import check_seal, columns_from_parquet, with_metrics_from_parquet
from vae_search.store.ledger.rows import (
    EPOCH_SCHEMA,
    TRIAL_SCHEMA,
    EpochRow,
    TrialRow,
    epochs_from_parquet,
    epochs_to_parquet,
    trials_from_parquet,
    trials_to_parquet,
)
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.identity import SweepIdentity

_MARKS = pa.schema([TRIAL_SCHEMA.field(name) for name in ("trial", "incarnation")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The trials that a copy holds, both of its files being intact."""

    size: int = 0
    """how many trials, as its files are named; 0 without a copy"""
    trials: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Both files of a copy, every byte checked, with the columns of today."""

    held: Held
    trials: pa.Table
    epochs: pa.Table


def write_compact(
    store: Store,
    sweep: str,
    rows: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    *,
    after: Copy | None,
) -> None:
    """Write the copy of `after` and these rows, and remove the others. The caller holds the sweep's lease.

    May be interrupted and called again: the copy of the rows is written last and makes the pair whole.

    Args:
        rows: intact ones that `after` does not hold, by number.
        curves: theirs, by number.

    Raises:
        StoreUnavailable: There is no copy of this size; nothing else has changed.
    """
    size = len(rows) + (after.held.size if after else 0)
    epochs = [epoch for row in rows for epoch in curves.get(row.trial, ())]
    epochs_path, trials_path = SweepPaths(sweep).compact_epochs(size), SweepPaths(sweep).compact_trials(size)
    store.remove(trials_path)  # of other trials, as many: half of it beside half of this one would be no copy
    store.replace(epochs_path, epochs_to_parquet(epochs, path=epochs_path, after=after.epochs if after else None))
    store.replace(trials_path, trials_to_parquet(rows, path=trials_path, after=after.trials if after else None))
    for path in store.list(SweepPaths(sweep).compact):
        if path not in (epochs_path, trials_path):
            store.remove(path)


def read_compact(store: Store, sweep: str, identity: SweepIdentity | None) -> dict[int, TrialRow]:
    """The rows of the largest intact copy, by trial; a damaged one is passed over, as if it had been removed.

    Args:
        identity: of the sweep; a copy that holds another's rows counts as damaged.
    """
    for size in compact_sizes(store.list(SweepPaths(sweep).compact)):
        path = SweepPaths(sweep).compact_trials(size)
        try:
            rows = trials_from_parquet(store.read(path), path=path)
        except (CorruptStore, NotFound):  # or a driver has just removed it for a longer one
            continue
        if identity is None or not any(identity.problem_of(row.incarnation) for row in rows):
            return {row.trial: row for row in rows}
    return {}


def usable_trials(store: Store, sweep: str, raw: Collection[int], identity: SweepIdentity | None) -> Held:
    """The trials of the largest copy whose both files are intact, if each has a row of its own; else none.

    Args:
        raw: the numbers of the rows whose own files are there.
        identity: as for `read_compact`.
    """
    for size in compact_sizes(store.list(SweepPaths(sweep).compact)):
        trials_path, epochs_path = SweepPaths(sweep).compact_trials(size), SweepPaths(sweep).compact_epochs(size)
        try:
            held = _own_numbers(store.read(trials_path), identity, path=trials_path)
            check_seal(store.read(epochs_path), path=epochs_path)
        except (CorruptStore, NotFound):
            continue
        if held and held.issubset(raw):
            return Held(size=size, trials=held)
    return Held()


def usable_copy(store: Store, sweep: str, raw: Collection[int], identity: SweepIdentity | None) -> Copy | None:
    """The copy of `usable_trials`."""
    held = usable_trials(store, sweep, raw, identity)
    if not held.trials:
        return None
    trials_path, epochs_path = SweepPaths(sweep).compact_trials(held.size), SweepPaths(sweep).compact_epochs(held.size)
    try:
        return Copy(
            held=replace(held, size=len(held.trials)),  # those of older versions were named by the end of a range
            trials=with_metrics_from_parquet(store.read(trials_path), path=trials_path, schema=TRIAL_SCHEMA),
            epochs=columns_from_parquet(store.read(epochs_path), path=epochs_path, schema=EPOCH_SCHEMA),
        )
    except (CorruptStore, NotFound):  # somebody has removed it since
        return None


def read_compact_curves(
    store: Store, sweep: str, identity: SweepIdentity | None, *, trials: Collection[int]
) -> dict[int, list[EpochRow]]:
    """The curves of the largest copy whose curves are intact, by trial; none if there is no such copy.

    Args:
        identity: as for `read_compact`.
        trials: that are wanted.
    """
    for size in compact_sizes(store.list(SweepPaths(sweep).compact)):
        path, rows_path = SweepPaths(sweep).compact_epochs(size), SweepPaths(sweep).compact_trials(size)
        curves: dict[int, list[EpochRow]] = defaultdict(list)
        try:
            _own_numbers(store.read(rows_path), identity, path=rows_path)
            for epoch in epochs_from_parquet(store.read(path), path=path, trials=trials):
                curves[epoch.trial].append(epoch)
        except (CorruptStore, NotFound):
            continue
        return dict(curves)
    return {}


def _own_numbers(content: bytes, identity: SweepIdentity | None, *, path: str) -> frozenset[int]:
    """The trials whose rows a copy holds.

    Raises:
        CorruptStore: It is damaged, or holds another sweep's rows.
    """
    marks = columns_from_parquet(content, path=path, schema=_MARKS)
    for incarnation in set(marks["incarnation"].to_pylist()):
        if identity is not None:
            identity.check(incarnation, path=path)
    return frozenset(marks["trial"].to_pylist())


def compact_sizes(paths: Iterable[str]) -> list[int]:
    """The sizes of the copies of rows among `paths`, the largest first."""
    found = (re.search(r"/compact/trials-(\d{6,})\.parquet$", path) for path in paths)
    return sorted((int(match[1]) for match in found if match), reverse=True)
