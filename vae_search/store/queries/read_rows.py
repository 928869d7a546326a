"""Rows of a sweep that a reader has at hand: a few columns of all, and the whole of those that were shown.

A row never changes. So whoever reads a sweep again and again lists its files, and opens those alone that are new.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger.checksums import columns_from_parquet
from vae_search.store.ledger.columns import int64_array
from vae_search.store.ledger.compaction import compact_sizes
from vae_search.store.ledger.rows import (
    TRIAL_SCHEMA,
    TrialRow,
    trial_from_parquet,
    trials_from_parquet,
)
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.identity import SweepIdentity, identity_of
from vae_search.store.sweeps.sweep_record import StoredRecord

# In the order of the files, which costs least.
COLUMNS = (
    "trial",
    "state",
    "objective",
    "neg_elbo",
    "rate",
    "instability",
    "train_flops",
    "cpu_s",
    "comparability_key",
    "incarnation",
)
MOST_WHOLE = 2000  # rows with all columns that are kept: a few kilobytes each
MOST_AHEAD = 8  # numbers behind the last known row that are asked for at once
MOST_NEW = 200  # files beyond which a copy is looked for again: there is a larger one by then

_SCHEMA = pa.schema([TRIAL_SCHEMA.field(name) for name in COLUMNS])
_NO_ROWS = pa.table([pa.nulls(0, field.type) for field in _SCHEMA], schema=_SCHEMA)
_FINISHED = {state.value for state in State if state.is_finished}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """The largest intact copy of a sweep's rows."""

    path: str
    content: bytes
    table: pa.Table
    files: list[str]
    """the rows' own files, by place in the copy"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRows:
    """Rows of a sweep as they were at one time."""

    store: Store
    sweep: str
    identity: SweepIdentity | None
    table: pa.Table
    """`COLUMNS` of all intact rows, in any order"""
    files: frozenset[str]
    """the rows' own files"""
    damaged: tuple[str, ...]
    """files that could not be read"""
    set_aside: tuple[int, ...]
    """trials whose damaged rows were set aside"""
    copy: _Copy | None
    _whole: dict[int, TrialRow] = field(default_factory=dict)
    """rows that were asked for, by number; shared with what is read after this"""

    def rows(self, trials: Sequence[int]) -> list[TrialRow]:
        """All columns of some rows, in this order.

        Raises:
            CorruptStore: A file has changed since it was read.
        """
        found = {number: row for number in trials if (row := self._whole.get(number)) is not None}
        missing = [number for number in trials if number not in found]
        if missing:
            read = self._read(missing)
            found |= read
            if len(self._whole) + len(read) > MOST_WHOLE:
                self._whole.clear()
            self._whole.update(read)
        return [found[number] for number in trials]

    def _read(self, trials: Sequence[int]) -> dict[int, TrialRow]:
        paths = dict(zip(SweepPaths(self.sweep).trial_files(trials), trials, strict=True))
        copied = {} if self.copy is None else {path: place for place, path in enumerate(self.copy.files)}
        places = [copied[path] for path in paths if path in copied]
        rows: dict[int, TrialRow] = {}
        if self.copy is not None and places:
            read = trials_from_parquet(self.copy.content, path=self.copy.path, places=places)
            rows = {row.trial: row for row in read}
        own = [path for path in paths if path not in copied]
        for path, content in zip(own, self.store.read_many(own), strict=True):
            rows[paths[path]] = trial_from_parquet(content or b"", path=path)
        return rows


def read_rows(
    store: Store,
    sweep: str,
    *,
    record: StoredRecord | None = None,
    before: ReadRows | None = None,
    lists: bool = True,
) -> ReadRows:
    """Read the rows of a sweep.

    Args:
        record: of the sweep, if it has been read already.
        before: what was read earlier; if nothing has changed, it is returned.
        lists: look for all files of rows, which takes a bucket a request for every thousand; else only for those that
            have landed since `before`, by what is in flight.
    """
    identity = identity_of(store, sweep, record)
    if before is not None and before.identity == identity and not lists:
        return _with_landed(before)
    paths = store.list(SweepPaths(sweep).trials)
    files = [path for path in paths if path.endswith(".parquet")]
    others = [path for path in paths if not path.endswith(".parquet")] if len(files) < len(paths) else []
    known = _still_there(before, files) if before is not None and before.identity == identity else None
    new = files if known is None else [path for path in files if path not in known.files]
    if known is None or len(new) > MOST_NEW:
        known, new = _from_copy(store, sweep, identity, files)
    raw, damaged = [known.table], []
    for path, content in zip(new, store.read_many(new), strict=True):
        try:
            raw.append(_columns(content or b"", path, identity, rows=1))
        except CorruptStore:
            damaged.append(path)
    lost = store_paths.tombstones(others)
    table = pa.concat_tables(raw).combine_chunks() if len(raw) > 1 else known.table
    set_aside = tuple(sorted({*lost} - {*table["trial"].to_pylist()})) if lost else ()
    if known is before and len(raw) == 1 and (tuple(damaged), set_aside) == (before.damaged, before.set_aside):
        return before
    return ReadRows(
        store=store,
        sweep=sweep,
        identity=identity,
        table=table,
        files=known.files.union(new).difference(damaged),
        damaged=tuple(damaged),
        set_aside=set_aside,
        copy=known.copy,
        _whole=known._whole,
    )


def _with_landed(before: ReadRows) -> ReadRows:
    """The rows that were read, and those that have landed since.

    A trial leaves `running/` after its row is there, and numbers are issued in their order. So what has landed is below
    the highest number in flight and not in flight, or follows the highest one that is known.
    """
    store, paths = before.store, SweepPaths(before.sweep)
    known = {
        number for path in before.files.union(before.damaged) if (number := store_paths.number_of(path)) is not None
    }
    keys = {store_paths.running_key_of(path) for path in store.list(paths.running)}
    running = {int(key) for key in keys if key is not None and key.isdecimal()}
    end = max(known | running, default=-1) + 1
    wanted = [number for number in range(end) if number not in known and number not in running | {*before.set_aside}]
    found = dict(zip(wanted, store.read_many(paths.trial_files(wanted)), strict=True))
    while True:
        ahead = range(end, end + MOST_AHEAD)
        contents = [*store.read_many(paths.trial_files(ahead))]
        found |= dict(zip(ahead, contents, strict=True))
        end += MOST_AHEAD
        if all(content is None for content in contents):
            break
    raw, files, damaged = [before.table], [], []
    for number, content in found.items():
        path = paths.trial(number)
        if content is None:
            continue
        try:
            raw.append(_columns(content, path, before.identity, rows=1))
            files.append(path)
        except CorruptStore:
            damaged.append(path)
    if not files and not damaged:
        return before
    return replace(
        before,
        table=pa.concat_tables(raw).combine_chunks(),
        files=before.files.union(files),
        damaged=(*before.damaged, *damaged),
    )


def _still_there(before: ReadRows, files: Sequence[str]) -> ReadRows:
    """The rows that were read, without those whose own files have gone."""
    gone = before.files.difference(files)
    if not gone:
        return before
    trials = int64_array(number for path in gone if (number := store_paths.number_of(path)) is not None)
    return ReadRows(
        store=before.store,
        sweep=before.sweep,
        identity=before.identity,
        table=before.table.filter(pc.invert(pc.is_in(before.table["trial"], value_set=trials))).combine_chunks(),
        files=before.files.difference(gone),
        damaged=(),
        set_aside=(),
        copy=before.copy,
    )


def _from_copy(
    store: Store, sweep: str, identity: SweepIdentity | None, files: list[str]
) -> tuple[ReadRows, list[str]]:
    """The rows of the largest copy that have one of these files, and the other files."""
    copy = _largest_copy(store, sweep, identity)
    table, held = _NO_ROWS, files[:0]
    if copy is not None and files[: len(copy.files)] == copy.files:  # ten times faster than by sets
        table, held, files = copy.table, copy.files, files[len(copy.files) :]
    elif copy is not None:
        present, copied = set(files), set(copy.files)
        table = copy.table.take(int64_array(place for place, file in enumerate(copy.files) if file in present))
        held, files = [file for file in copy.files if file in present], [path for path in files if path not in copied]
    found = ReadRows(
        store=store,
        sweep=sweep,
        identity=identity,
        table=table,
        files=frozenset(held),
        damaged=(),
        set_aside=(),
        copy=copy,
    )
    return found, files


def _largest_copy(store: Store, sweep: str, identity: SweepIdentity | None) -> _Copy | None:
    for size in compact_sizes(store.list(SweepPaths(sweep).compact)):
        path = SweepPaths(sweep).compact_trials(size)
        try:
            content = store.read(path)
            table = _columns(content, path, identity)
        except (CorruptStore, NotFound):  # or a driver has just removed it for a larger one
            continue
        files = SweepPaths(sweep).trial_files(table["trial"].to_pylist())
        return _Copy(path=path, content=content, table=table, files=files)
    return None


def _columns(content: bytes, path: str, identity: SweepIdentity | None, *, rows: int | None = None) -> pa.Table:
    table = columns_from_parquet(content, path=path, schema=_SCHEMA)
    for mark in pc.unique(table["incarnation"]).to_pylist():
        if identity is not None:
            identity.check(mark, path=path)
    if rows not in (None, table.num_rows) or not _FINISHED.issuperset(pc.unique(table["state"]).to_pylist()):
        raise CorruptStore("does not hold finished trials, or not one.", path=path, advice="Restore it from a copy.")
    return table
