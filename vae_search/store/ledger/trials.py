"""Ledger of finished trials. Its rows are the truth; everything else is rebuilt from them."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from vae_search.errors import CorruptStore
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.ledger.compaction import (
    read_compact,
    read_compact_curves,
    usable_copy,
    write_compact,
)
from vae_search.store.ledger.rows import (
    EpochRow,
    TrialRow,
    epochs_from_parquet,
    epochs_to_parquet,
    trial_from_parquet,
    trial_to_parquet,
)
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.identity import SweepIdentity, foreign_rows, identity_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRows:
    """Result of reading a sweep's ledger: its intact rows, and what is missing beside them."""

    rows: tuple[TrialRow, ...]
    """by number"""
    damaged: tuple[str, ...]
    """files that had to be left out, as paths in the store"""
    foreign: Mapping[str, str]
    """those of `damaged` that are intact rows of another sweep of this name, and how each is known to be"""
    set_aside: tuple[int, ...]
    """trials whose damaged rows were set aside; their numbers stay used"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCurves:
    """Result of reading learning curves: the intact ones, and the files that had to be left out."""

    by_trial: Mapping[int, list[EpochRow]]
    damaged: tuple[str, ...]


class Ledger:
    """The finished trials of one sweep. A row is written once and never changed."""

    def __init__(self, store: Store, sweep: str) -> None:
        self._store = store
        self._sweep = sweep
        self._paths = SweepPaths(sweep)

    def commit(self, row: TrialRow, epochs: Sequence[EpochRow]) -> TrialRow:
        """Write the trial's learning curve and then its row; once the row is there, the trial is finished for ever.

        Returns:
            The row that is in the ledger: `row` with its `epochs_sha256`, or the one that was there before.

        Raises:
            ValueError: A row belongs to another sweep or trial.
            CorruptStore: There is a row already, but it is damaged, or another sweep's of this name.
            StoreUnavailable: Nothing was committed; the same call may be made again.
        """
        parts: tuple[TrialRow | EpochRow, ...] = (row, *epochs)
        for part in parts:
            if (part.sweep, part.trial) != (self._sweep, row.trial):
                raise ValueError(f"{self._sweep}/{row.trial} cannot hold a row of {part.sweep}/{part.trial}")
        path, curve_path = self._paths.trial(row.trial), self._paths.trial_epochs(row.trial)
        curve = epochs_to_parquet(epochs, path=curve_path)
        try:
            self._store.create(curve_path, curve)
        except AlreadyThere:
            if path in self._store.list(self._paths.trials):
                return self.trial(row.trial)
            # The leftover of an attempt that died before its row. Should that attempt wake up now and write its own
            # curve again, the row's epochs_sha256 gives it away.
            if self._store.read(curve_path) != curve:
                self._store.replace(curve_path, curve)
        committed = replace(row, epochs_sha256=hashlib.sha256(curve).hexdigest())
        try:
            self._store.create(path, trial_to_parquet(committed, path=path))
        except AlreadyThere:
            return self.trial(row.trial)
        return committed

    def trial(self, number: int) -> TrialRow:
        """The row of one finished trial.

        Raises:
            NotFound: The trial is not finished, or does not exist.
            CorruptStore: Its file is damaged or misplaced, or another sweep's of this name.
        """
        path = self._paths.trial(number)
        row = trial_from_parquet(self._store.read(path), path=path)
        if self._identity is not None:
            self._identity.check(row.incarnation, path=path)
        return row

    def trials(self) -> list[TrialRow]:
        """The intact rows of all finished trials, by number, for callers that need not name the damaged files."""
        return [*self.read().rows]

    def read(self) -> LedgerRows:
        """Read the rows of all finished trials; damaged files are left out and named."""
        rows: list[TrialRow] = []
        damaged: list[str] = []
        paths = self._store.list(self._paths.trials)
        copied = read_compact(self._store, self._sweep, self._identity)
        raw = []
        for path in paths:
            if not path.endswith(".parquet"):
                continue
            if (row := copied.get(store_paths.number_of(path) or 0)) and path == self._paths.trial(row.trial):
                rows.append(row)
                continue
            raw.append(path)
        for path, content in zip(raw, self._store.read_many(raw), strict=True):
            try:
                rows.append(trial_from_parquet(content or b"", path=path))
            except CorruptStore:
                damaged.append(path)
        foreign = foreign_rows(rows, self._identity, folder=self._paths.trials)
        rows = [row for row in rows if self._paths.trial(row.trial) not in foreign]
        return LedgerRows(
            rows=tuple(sorted(rows, key=lambda row: row.trial)),
            damaged=(*damaged, *foreign),
            foreign=foreign,
            set_aside=tuple(sorted({*store_paths.tombstones(paths)} - {row.trial for row in rows})),
        )

    def curves(self, rows: Sequence[TrialRow]) -> LedgerCurves:
        """Read the learning curves of these trials; damaged ones are left out and named."""
        wanted = {row.trial for row in rows}
        curves = read_compact_curves(self._store, self._sweep, self._identity, trials=wanted)
        damaged: list[str] = []
        raw = [row for row in rows if row.trial not in curves]
        contents = self._store.read_many(self._paths.trial_epochs(row.trial) for row in raw)
        for row, content in zip(raw, contents, strict=True):
            try:
                curves[row.trial] = self._curve(row, content)
            except CorruptStore:
                damaged.append(self._paths.trial_epochs(row.trial))
        return LedgerCurves(by_trial=curves, damaged=tuple(damaged))

    def compact(self) -> None:
        """Bring the copies for readers in a hurry up to date. The caller holds the sweep's lease.

        They hold every trial that is finished, but those whose row or curve is damaged.

        Raises:
            StoreUnavailable: They stay as they were.
        """
        paths = self._store.list(self._paths.trials)
        numbers = {number for path in paths if (number := self._trial_in(path)) is not None}
        copy = usable_copy(self._store, self._sweep, numbers, self._identity)
        new = sorted(numbers.difference(copy.held.trials if copy else ()))
        files = self._paths.trial_files(new)
        curve_files = [self._paths.trial_epochs(number) for number in new]
        contents = zip(files, self._store.read_many(files), self._store.read_many(curve_files), strict=True)
        rows: list[TrialRow] = []
        curves: dict[int, list[EpochRow]] = {}
        for path, row_bytes, curve_bytes in contents:
            with suppress(CorruptStore):
                row = trial_from_parquet(row_bytes or b"", path=path)
                if self._identity is not None:
                    self._identity.check(row.incarnation, path=path)
                curves[row.trial] = self._curve(row, curve_bytes)
                rows.append(row)
        if rows:
            write_compact(self._store, self._sweep, rows, curves, after=copy)

    def epochs(self, trial: int) -> list[EpochRow]:
        """The learning curve of one finished trial.

        Raises:
            NotFound: The trial is not finished, or does not exist.
            CorruptStore: The curve or the row is damaged, or the curve is missing or not the one of this row.
        """
        row = self.trial(trial)
        (content,) = self._store.read_many([self._paths.trial_epochs(trial)])
        return self._curve(row, content)

    @cached_property
    def _identity(self) -> SweepIdentity | None:
        return identity_of(self._store, self._sweep)

    def _trial_in(self, path: str) -> int | None:
        """The trial whose row the file `path` is; None for any other file."""
        number = store_paths.number_of(path)
        return number if number is not None and path == self._paths.trial(number) else None

    def _curve(self, row: TrialRow, content: bytes | None) -> list[EpochRow]:
        path = self._paths.trial_epochs(row.trial)
        if content is None:
            raise CorruptStore("is missing, but the trial's row is there.", path=path, advice="Restore it from a copy.")
        if hashlib.sha256(content).hexdigest() != row.epochs_sha256:
            raise CorruptStore(
                "is not the learning curve that belongs to the row.", path=path, advice="Restore it from a copy."
            )
        return epochs_from_parquet(content, path=path)
