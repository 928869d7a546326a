"""Leaderboard of a sweep, from a few columns of its files: a TrialRow is built only for what is shown."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from vae_search.core.criteria import CRITERIA, RankedBy
from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger.columns import int64_array
from vae_search.store.ledger.compaction import compact_sizes
from vae_search.store.ledger.rows import (
    TRIAL_SCHEMA,
    TrialRow,
    columns_from_parquet,
    trial_from_parquet,
    trials_from_parquet,
)
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.front import Front, Member, front_among
from vae_search.store.queries.pareto import front_of_learners, point_of
from vae_search.store.queries.ranking import check_comparable
from vae_search.store.sweeps.identity import SweepIdentity, identity_of
from vae_search.store.sweeps.sweep_record import StoredRecord

if TYPE_CHECKING:
    from vae_search.spec.sections import Objective  # its library takes as long to load as `best` does

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


class Leaderboard:
    """The finished trials of one sweep, counted and ranked.

    The same files count as in `Ledger.trials`, and the same are damaged: a row's own file, or its place in a copy as
    long as its own file is there.

    Args:
        table: `COLUMNS` of all intact rows, in any order, and the column `place`: where in the copy a row is, NULL for
            one from its own file.
    """

    def __init__(
        self, store: Store, sweep: str, table: pa.Table, *, copy: _Copy | None, damaged: list[str], set_aside: list[int]
    ) -> None:
        self.damaged = tuple(damaged)
        """files that could not be read"""
        self.set_aside = tuple(set_aside)
        """trials whose damaged rows were set aside; their numbers stay used"""
        self.states = Counter({State(state): count for state, count in _counts(table, "state").items()})
        self.cpu_s: float = pc.sum(table["cpu_s"]).as_py() or 0.0
        """of training, all trials together"""
        self._store = store
        self._sweep = sweep
        self._table = table
        self._copy = copy

    def narrowed(self, trials: Collection[int]) -> "Leaderboard":
        """The same with only these trials in it."""
        chosen = pc.is_in(self._table["trial"], value_set=int64_array(trials))
        return Leaderboard(
            self._store,
            self._sweep,
            self._table.filter(chosen).combine_chunks(),
            copy=self._copy,
            damaged=[*self.damaged],
            set_aside=[*self.set_aside],
        )

    @property
    def comparability_keys(self) -> frozenset[str]:
        """Of all rows; values are ranked within one only."""
        return frozenset(_counts(self._table, "comparability_key"))

    @property
    def numbers(self) -> list[int]:
        """The trials that have an intact row, in no order."""
        return self.column("trial")

    def column(self, name: str) -> list[Any]:
        """One of `COLUMNS`, in the order of `numbers`."""
        return [*self._table[name].to_pylist()]

    @property
    def finished(self) -> int:
        """Number of trials with an intact row."""
        return int(self._table.num_rows)

    @property
    def best(self) -> tuple[int, float] | None:
        """The trial with the least objective, and its objective; None if none has one."""
        first = self._first(pc.is_valid(self._table["objective"]), "objective", 1)
        return (first["trial"][0].as_py(), first["by"][0].as_py()) if len(first) else None

    def ranked(
        self, *, by: RankedBy, every_state: bool, count: int | None = None, first: Sequence[int] = ()
    ) -> list[TrialRow]:
        """The first `count` of what `ranking.ranked` makes of all rows; None means all of it.

        Args:
            first: trials that come before all others if they are COMPLETE, in this order.

        Raises:
            Conflict: The rows belong to different comparability keys (invariant I7).
            CorruptStore: A file has changed since the leaderboard were read.
        """
        check_comparable(self.comparability_keys, trials=self.finished)
        complete = self._complete()
        order = self._first(complete, by, None if first or count is None else count)
        if first:
            order = _moved_up(order, first)
        if every_state:
            order = pa.concat_tables([order, self._first(pc.invert(complete), "neg_elbo", count)])
        return self._rows(order.slice(0, count))

    def best_first(self, objective: "Objective", *, count: int | None, first: Sequence[int] = ()) -> list[TrialRow]:
        """The first `count` of what `ranking.best_first` makes of all rows.

        Args:
            first: trials that come before all others if they are among these, in this order.

        Raises:
            Conflict, CorruptStore: As for `ranked`.
        """
        if objective.pareto is None:
            return self.ranked(by="objective", every_state=False, count=count, first=first)
        return self.front(criteria=objective.pareto, prefer=objective.prefer, count=count, first=first)

    def front(
        self,
        *,
        criteria: Sequence[str] = CRITERIA,
        prefer: str = "neg_elbo",
        count: int | None = None,
        first: Sequence[int] = (),
    ) -> list[TrialRow]:
        """The COMPLETE trials that no other beats in all `criteria`; the first `count` of them.

        By `prefer`, least first, NULL last; equal ones by neg_elbo, then by number.

        Args:
            first: trials that come before all others if they are on the front, in this order.

        Raises:
            Conflict, CorruptStore: As for `ranked`.
        """
        check_comparable(self.comparability_keys, trials=self.finished)
        order = self._table.filter(self._complete())
        keys = [(name, "ascending") for name in dict.fromkeys([prefer, "neg_elbo", "trial"])]
        order = order.take(pc.sort_indices(order, sort_keys=keys))
        columns = [order[name].to_pylist() for name in criteria]
        points = [point_of(dict(zip(criteria, values, strict=True))) for values in zip(*columns, strict=True)]
        places = front_of_learners(points, order["rate"].to_pylist())
        members = order.select(["trial", "place"]).take(int64_array(places))
        return self._rows((_moved_up(members, first) if first else members).slice(0, count))

    def shown_front(self, objective: "Objective") -> Front | None:
        """The front of a Pareto sweep, from the columns alone; None for another sweep."""
        if objective.pareto is None:
            return None
        complete = self._table.filter(self._complete())
        columns = [complete[name].to_pylist() for name in ("trial", "rate", *objective.pareto)]
        trials = (
            Member(trial=trial, values=dict(zip(objective.pareto, values, strict=True)), rate=rate)
            for trial, rate, *values in zip(*columns, strict=True)
        )
        return front_among(trials, criteria=objective.pareto, prefer=objective.prefer)

    def _complete(self) -> pa.ChunkedArray:
        return pc.match_like(self._table["state"], State.COMPLETE.value)  # `pc.equal` would load pandas

    def _first(self, chosen: pa.ChunkedArray, by: str, count: int | None) -> pa.Table:
        """Of the chosen rows the first `count` by the column `by`, least first, NULL last; equal values by number.

        Those that are NULL there come by neg_elbo.
        """
        trial = self._table["trial"]
        zeros = pc.cast(pc.subtract(trial, trial), pa.float64())  # a scalar in its place would load pandas
        instead = pc.if_else(pc.is_valid(self._table[by]), zeros, self._table["neg_elbo"])
        table = self._table.select([by, "trial", "place"]).append_column("instead", instead).filter(chosen)
        table = table.rename_columns(["by", "trial", "place", "instead"])
        order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in ("by", "instead", "trial")])
        return table.take(order.slice(0, count)).select(["by", "trial", "place"])

    def _rows(self, table: pa.Table) -> list[TrialRow]:
        numbers: list[int] = table["trial"].to_pylist()
        places: list[int | None] = table["place"].to_pylist()
        copied = [place for place in places if place is not None]
        rows: dict[int, TrialRow] = {}
        if self._copy is not None and copied:
            found = trials_from_parquet(self._copy.content, path=self._copy.path, places=copied)
            rows = {row.trial: row for row in found}
        own = [number for number, place in zip(numbers, places, strict=True) if place is None]
        paths = SweepPaths(self._sweep).trial_files(own)
        for number, path, content in zip(own, paths, self._store.read_many(paths), strict=True):
            rows[number] = trial_from_parquet(content or b"", path=path)
        return [rows[number] for number in numbers]


def read_leaderboard(store: Store, sweep: str, *, record: StoredRecord | None = None) -> Leaderboard:
    """Read a sweep's leaderboard; a sweep without rows has none finished.

    Args:
        record: of the sweep, if it has been read already.
    """
    paths = store.list(SweepPaths(sweep).trials)
    files = [path for path in paths if path.endswith(".parquet")]
    others = [path for path in paths if not path.endswith(".parquet")] if len(files) < len(paths) else []
    identity = identity_of(store, sweep, record)
    copy = _largest_copy(store, sweep, identity)
    parts = [_NO_ROWS.append_column("place", int64_array([]))]
    if copy is not None and files[: len(copy.files)] == copy.files:  # as it nearly always is, and ten times faster
        files = files[len(copy.files) :]
        parts.append(copy.table.append_column("place", int64_array(range(len(copy.files)))))
    elif copy is not None:
        present = set(files)
        files = sorted(present.difference(copy.files))
        places = int64_array(place for place, file in enumerate(copy.files) if file in present)
        parts.append(copy.table.take(places).append_column("place", places))
    raw = [_NO_ROWS]
    damaged: list[str] = []
    for path, content in zip(files, store.read_many(files), strict=True):
        try:
            raw.append(_columns(content or b"", path, identity, rows=1))
        except CorruptStore:
            damaged.append(path)
    own = pa.concat_tables(raw)
    own = own.append_column("place", pa.nulls(own.num_rows, pa.int64()))
    table = pa.concat_tables([*parts, own]).combine_chunks()
    lost = store_paths.tombstones(others)
    set_aside = sorted({*lost} - {*table["trial"].to_pylist()}) if lost else []
    return Leaderboard(store, sweep, table, copy=copy, damaged=damaged, set_aside=set_aside)


def _largest_copy(store: Store, sweep: str, identity: SweepIdentity | None) -> _Copy | None:
    for size in compact_sizes(store.list(SweepPaths(sweep).compact)):
        path = SweepPaths(sweep).compact_trials(size)
        try:
            content = store.read(path)
            table = _columns(content, path, identity)
        except (CorruptStore, NotFound):  # or a driver has just removed it for a longer one
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


def _moved_up(order: pa.Table, first: Sequence[int]) -> pa.Table:
    """`order` with the rows of the trials `first` before all others, those that are in it."""
    place = {trial: position for position, trial in enumerate(order["trial"].to_pylist())}
    up = [place[trial] for trial in first if trial in place]
    moved = {*up}
    return order.take(int64_array([*up, *(position for position in range(len(order)) if position not in moved)]))


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(table[column].combine_chunks()).to_pylist()}
