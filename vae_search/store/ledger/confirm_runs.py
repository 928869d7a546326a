"""Rows of confirm runs: a finalist's config trained again with a fresh seed. Written once and never changed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.ledger.checksums import decode_checked, encode_checked
from vae_search.store.ledger.columns import Int32, checked, columns_of, records_of
from vae_search.store.ledger.rows import TRIAL_SCHEMA, TrialRow, trial_fields, trial_record, with_metrics
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.identity import foreign_rows, identity_of
from vae_search.store.sweeps.sweep_record import StoredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRow(TrialRow):
    """One finished confirm run: the columns of a trial, and which of the finalist's seeds it was.

    `trial` is the finalist, `seed` the number that its training drew from. Other than in a trial's row, `iwae` is the
    mean over the judge images, with more samples (`iwae_k`); all other scores are on the select images.

    A run that goes on from the state of another has the costs of its own epochs alone; its `epochs` are all.

    Raises:
        ValueError: As for a `TrialRow`, or `confirm_seed` is negative although the run goes on from no other.
    """

    confirm_seed: Int32  # 0: chooses among finalists; 1, 2, 3 …: seeds that testify; -k: goes on from the run of seed k
    continues_epoch: Int32 | None = None  # of the run that goes on: the epoch of seed k's run that it goes on from
    threads: Int32 | None = None  # of the run that goes on; NULL: resources.cpus_per_trial
    shards: Int32 | None = None  # of its batches, which its bits depend on; NULL: on the number of threads instead

    def __post_init__(self) -> None:
        TrialRow.__post_init__(self)  # with slots, super() would look in a class that is no more
        object.__setattr__(
            self, "confirm_seed", checked("confirm_seed", self.confirm_seed, _OWN_COLUMNS["confirm_seed"])
        )
        for name in ("continues_epoch", "threads", "shards"):
            object.__setattr__(self, name, checked(name, getattr(self, name), _OWN_COLUMNS[name]))
        if (self.confirm_seed < 0) != self.continues:
            law = "`confirm_seed` must be negative exactly where a run goes on from another"
            raise ValueError(f"{law}, but got {self.confirm_seed} with continues_epoch {self.continues_epoch}")

    @classmethod
    def of(
        cls,
        row: TrialRow,
        *,
        confirm_seed: int,
        continues_epoch: int | None = None,
        threads: int | None = None,
        shards: int | None = None,
    ) -> "ConfirmRow":
        """`row` as the row of a confirm run."""
        return cls(
            **{field.name: getattr(row, field.name) for field in fields(TrialRow)},
            confirm_seed=confirm_seed,
            continues_epoch=continues_epoch,
            threads=threads,
            shards=shards,
        )

    @property
    def continues(self) -> bool:
        """True if it goes on from the state of another confirm run."""
        return self.continues_epoch is not None

    @property
    def key(self) -> str:
        """The run as it stands in paths: `000042-s1`, `000042-c1`."""
        return store_paths.confirm_key(self.trial, self.confirm_seed)


SELECTING_SEED = 0  # of each finalist where there are several: its run chooses among them and testifies for none
_FORMER_SELECTING_SEED = 1  # of older versions, where it testified as well
_CONTEST_SEEDS = 3  # what has to remain for the former selecting seed to be left out; no contest takes fewer

_OWN_COLUMNS = {name: columns_of(ConfirmRow)[name] for name in ("confirm_seed", "continues_epoch", "threads", "shards")}
FINALIST_SCHEMA = pa.schema([*TRIAL_SCHEMA, *((name, column.arrow) for name, column in _OWN_COLUMNS.items())])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRunRows:
    """Result of reading a sweep's confirm runs: the intact rows, and the files that had to be left out."""

    rows: tuple[ConfirmRow, ...]
    """of fresh seeds, by trial and seed"""
    damaged: tuple[str, ...]
    """paths in the store"""
    foreign: Mapping[str, str]
    """those of `damaged` that are intact rows of another sweep of this name, and how each is known to be"""
    continued: tuple[ConfirmRow, ...] = ()
    """runs that go on from one of `rows`: their weights are served, and they testify for no config"""


class ConfirmRuns:
    """The finished confirm runs of one sweep.

    Args:
        record: of the sweep, if it has been read already.
    """

    def __init__(self, store: Store, sweep: str, record: StoredRecord | None = None) -> None:
        self._record = record
        self._store = store
        self._sweep = sweep
        self._paths = SweepPaths(sweep)

    def commit(self, row: ConfirmRow) -> ConfirmRow:
        """Write the row of a confirm run; once it is there, the run is finished for ever.

        Returns:
            The row that is in the store: `row`, or the one that was there before.

        Raises:
            ValueError: The row belongs to another sweep.
            CorruptStore: There is a row already, but it is damaged.
            StoreUnavailable: Nothing was committed; the same call may be made again.
        """
        if row.sweep != self._sweep:
            raise ValueError(f"{self._sweep} cannot hold a row of {row.sweep}/{row.key}")
        path = self._paths.finalist(row.trial, row.confirm_seed)
        try:
            self._store.create(path, finalist_to_parquet(row, path=path))
        except AlreadyThere:
            return self.row(row.trial, row.confirm_seed)
        return row

    def row(self, trial: int, confirm_seed: int) -> ConfirmRow:
        """The row of one confirm run.

        Raises:
            NotFound: It is not finished, or does not exist.
            CorruptStore: Its file is damaged or misplaced, or another sweep's of this name.
        """
        path = self._paths.finalist(trial, confirm_seed)
        row = finalist_from_parquet(self._store.read(path), path=path)
        if (identity := identity_of(self._store, self._sweep, self._record)) is not None:
            identity.check(row.incarnation, path=path)
        return row

    def rows(self) -> list[ConfirmRow]:
        """The intact rows of fresh seeds, by trial and seed, for callers that need not name the damaged files."""
        return [*self.read().rows]

    def read(self, *, before: Sequence[ConfirmRow] = ()) -> ConfirmRunRows:
        """Read the rows of all confirm runs; damaged files are left out and named.

        Args:
            before: rows of this sweep that were read earlier; they never change, and are not read again.
        """
        paths = [path for path in self._store.list(self._paths.finalists) if path.endswith(".parquet")]
        identity = identity_of(self._store, self._sweep, self._record) if paths else None
        known = {self._paths.finalist(row.trial, row.confirm_seed): row for row in before}
        if identity is None or foreign_rows(before, identity, folder=self._paths.finalists):
            known = {}  # they are of an earlier sweep of this name
        rows = [known[path] for path in paths if path in known]
        new = [path for path in paths if path not in known]
        damaged: list[str] = []
        for path, content in zip(new, self._store.read_many(new), strict=True):
            try:
                rows.append(finalist_from_parquet(content or b"", path=path))
            except CorruptStore:
                damaged.append(path)
        foreign = foreign_rows(rows, identity, folder=self._paths.finalists)
        own = [row for row in rows if self._paths.finalist(row.trial, row.confirm_seed) not in foreign]
        own.sort(key=lambda row: (row.trial, row.confirm_seed))
        return ConfirmRunRows(
            rows=tuple(row for row in own if not row.continues),
            damaged=(*damaged, *foreign),
            foreign=foreign,
            continued=tuple(row for row in own if row.continues),
        )


def continued_seed(confirm_seed: int) -> int:
    """The `confirm_seed` of the run that goes on from that of a fresh seed, or of which fresh seed such a run is."""
    return -confirm_seed


def select_nats(row: ConfirmRow) -> float:
    """Score on the select images by which completed runs of one config are compared, least is best; nats.

    Of a run that ended with the bound of several draws the objective: a looser posterior has a worse ELBO.
    """
    is_elbo = (row.trained_bound or "elbo") == "elbo"
    score = row.neg_elbo if is_elbo or row.objective is None else row.objective
    return math.inf if score is None else score


def best_on_select(rows: Sequence[ConfirmRow]) -> ConfirmRow | None:
    """The best of completed runs of one config on the select images; None of none."""
    return min(rows, key=lambda row: (select_nats(row), row.confirm_seed), default=None)


def by_trial(rows: Sequence[ConfirmRow]) -> dict[int, list[ConfirmRow]]:
    """The rows of each finalist, by its trial."""
    found: dict[int, list[ConfirmRow]] = {}
    for row in rows:
        found.setdefault(row.trial, []).append(row)
    return found


def selecting_seed(rows: Sequence[ConfirmRow]) -> int | None:
    """The confirm seed by which one of a sweep's finalists was chosen; None if there was nothing to choose from.

    Args:
        rows: of all finalists of the sweep.
    """
    if any(row.confirm_seed == SELECTING_SEED for row in rows):
        return SELECTING_SEED
    return _FORMER_SELECTING_SEED if len({row.trial for row in rows}) > 1 else None


def testifying(runs: Sequence[ConfirmRow], *, selecting: int | None) -> list[ConfirmRow]:
    """The completed runs of one finalist that say how good its config is.

    A run that a config was chosen by flatters it (the winner's curse), so it does not testify. In sweeps of older
    versions it is the first of all; there it stays where without it fewer than three would remain.

    Args:
        selecting: as `selecting_seed` finds it among the rows of all finalists.
    """
    complete = [row for row in runs if row.state is State.COMPLETE and not row.continues]
    fresh = [row for row in complete if row.confirm_seed != selecting]
    return fresh if selecting == SELECTING_SEED or len(fresh) >= _CONTEST_SEEDS else complete


def finalist_to_parquet(row: ConfirmRow, *, path: str) -> bytes:
    """`row` as a sealed Parquet file for `path`, with the columns of `FINALIST_SCHEMA`."""
    record = trial_record(row) | {name: getattr(row, name) for name in _OWN_COLUMNS}
    return encode_checked(pa.Table.from_pylist([record], schema=with_metrics(FINALIST_SCHEMA, [row])), path=path)


def finalist_from_parquet(content: bytes, *, path: str) -> ConfirmRow:
    """The row in the file `path`.

    Raises:
        CorruptStore: The file is damaged, misplaced, or does not hold exactly one confirm run.
    """
    table = decode_checked(content, path=path)
    if table.num_rows != 1:
        raise CorruptStore(
            f"must hold one row, but holds {table.num_rows}.", path=path, advice="Restore it from a copy."
        )
    try:
        records = records_of(table)
        own: dict[str, Any] = {name: records[0].get(name) for name in _OWN_COLUMNS}  # rows of older versions lack some
        return ConfirmRow(**trial_fields(records[0]), **own)
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise CorruptStore(
            f"does not hold a confirm run: {error}.", path=path, advice="Restore it from a copy."
        ) from error
