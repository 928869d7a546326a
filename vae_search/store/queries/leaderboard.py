"""Leaderboard of a sweep, from a few columns of its files: a TrialRow is built only for what is shown."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vae_search.core.criteria import CRITERIA, METRIC, Criteria
from vae_search.core.trial_state import State
from vae_search.store.backends.base import Store
from vae_search.store.ledger.columns import int64_array
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.front import Front, Member, front_among
from vae_search.store.queries.pareto import front_of_learners, point_of
from vae_search.store.queries.ranking import check_comparable
from vae_search.store.queries.read_rows import ReadRows, read_rows
from vae_search.store.sweeps.sweep_record import StoredRecord

ALL_CRITERIA = Criteria(names=CRITERIA)


class Leaderboard:
    """The finished trials of one sweep, counted and ranked.

    The same files count as in `Ledger.trials`, and the same are damaged: a row's own file, or its place in a copy as
    long as its own file is there.

    Args:
        read: the rows that were read.
        table: those of `read.table` that count; default: all.
    """

    def __init__(self, read: ReadRows, table: pa.Table | None = None) -> None:
        table = read.table if table is None else table
        self.read = read
        """kept by who will read the sweep again"""
        self.damaged = read.damaged
        """files that could not be read"""
        self.set_aside = read.set_aside
        """trials whose damaged rows were set aside; their numbers stay used"""
        self.states = Counter({State(state): count for state, count in _counts(table, "state").items()})
        self.cpu_s: float = pc.sum(table["cpu_s"]).as_py() or 0.0
        """of training, all trials together"""
        self._table = table

    def narrowed(self, trials: Collection[int]) -> "Leaderboard":
        """The same with only these trials in it."""
        chosen = pc.is_in(self._table["trial"], value_set=int64_array(trials))
        return Leaderboard(self.read, self._table.filter(chosen).combine_chunks())

    def rows(self, trials: Sequence[int]) -> list[TrialRow]:
        """The rows of these trials, in this order.

        Raises:
            CorruptStore: A file has changed since the leaderboard was read.
        """
        return self.read.rows(trials)

    def in_order(self, name: str, *, descending: bool, state: str | None) -> list[int]:
        """The trials in the order of one of `COLUMNS` or `metrics`.

        Those without a value come last, equal ones by number.

        Args:
            state: only trials that ended in it.
        """
        whole = self._with_metrics([name])
        table = whole if state is None else whole.filter(pc.match_like(whole["state"], state))
        values = table[name]
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), pa.nulls(len(values), values.type), values)
        ordered = pa.table([values, table["trial"]], names=["value", "number"])
        keys = [("value", "descending" if descending else "ascending"), ("number", "ascending")]
        numbers: list[int] = ordered.take(pc.sort_indices(ordered, sort_keys=keys))["number"].to_pylist()
        return numbers

    @property
    def metrics(self) -> tuple[str, ...]:
        """Columns of the sweep's metrics, by name: each of its rows has all of them."""
        return tuple(name for row in self.rows(self.numbers[:1]) for name in row.metrics)

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
        self,
        *,
        by: str,
        every_state: bool,
        count: int | None = None,
        first: Sequence[int] = (),
        highest_first: bool = False,
    ) -> list[TrialRow]:
        """The first `count` of what `ranking.ranked` makes of all rows; None means all of it.

        Args:
            first: trials that come before all others if they are COMPLETE, in this order.
            highest_first: of `by` more is better.

        Raises:
            Conflict: The rows belong to different comparability keys (invariant I7).
            CorruptStore: A file has changed since the leaderboard were read.
        """
        check_comparable(self.comparability_keys, trials=self.finished)
        complete = self._complete()
        limit = None if first or count is None else count
        order = self._first(complete, by, limit, highest_first=highest_first)
        if first:
            order = _moved_up(order, first)
        if every_state:
            order = pa.concat_tables([order, self._first(pc.invert(complete), "neg_elbo", count)])
        return self.rows(order["trial"].slice(0, count).to_pylist())

    def best_first(self, criteria: Criteria | None, *, count: int | None, first: Sequence[int] = ()) -> list[TrialRow]:
        """The first `count` of what `ranking.best_first` makes of all rows.

        Args:
            criteria: of a Pareto sweep; None of another.
            first: trials that come before all others if they are among these, in this order.

        Raises:
            Conflict, CorruptStore: As for `ranked`.
        """
        if criteria is None:
            return self.ranked(by="objective", every_state=False, count=count, first=first)
        return self.front(criteria, count=count, first=first)

    def front(
        self, criteria: Criteria = ALL_CRITERIA, *, count: int | None = None, first: Sequence[int] = ()
    ) -> list[TrialRow]:
        """The COMPLETE trials that no other beats in all `criteria`; the first `count` of them.

        By the preferred one, best first, NULL last; equal ones by neg_elbo, then by number.

        Args:
            first: trials that come before all others if they are on the front, in this order.

        Raises:
            Conflict, CorruptStore: As for `ranked`.
        """
        check_comparable(self.comparability_keys, trials=self.finished)
        order = self._with_metrics(criteria.names).filter(self._complete())
        names = dict.fromkeys([criteria.prefer, "neg_elbo", "trial"])
        keys = [(name, "descending" if name in criteria.maximised else "ascending") for name in names]
        order = order.take(pc.sort_indices(order, sort_keys=keys))
        columns = [order[name].to_pylist() for name in criteria.names]
        points = [point_of(criteria, values) for values in zip(*columns, strict=True)]
        places = front_of_learners(points, order["rate"].to_pylist())
        members = order.select(["trial"]).take(int64_array(places))
        return self.rows((_moved_up(members, first) if first else members)["trial"].slice(0, count).to_pylist())

    def shown_front(self, criteria: Criteria | None) -> Front | None:
        """The front of a Pareto sweep, from the columns alone; None for another sweep."""
        if criteria is None:
            return None
        complete = self._with_metrics(criteria.names).filter(self._complete())
        columns = [complete[name].to_pylist() for name in ("trial", "rate", *criteria.names)]
        trials = (
            Member(trial=trial, values=dict(zip(criteria.names, values, strict=True)), rate=rate)
            for trial, rate, *values in zip(*columns, strict=True)
        )
        return front_among(trials, criteria)

    def _complete(self) -> pa.ChunkedArray:
        return pc.match_like(self._table["state"], State.COMPLETE.value)  # `pc.equal` would load pandas

    def _with_metrics(self, names: Sequence[str]) -> pa.Table:
        """The table, with the metrics among these columns from the whole rows, which alone have them."""
        table = self._table
        for name in {name for name in names if name.startswith(METRIC)}:
            table = table.append_column(
                name, pa.array([row.value(name) for row in self.rows(self.numbers)], pa.float64())
            )
        return table

    def _first(self, chosen: pa.ChunkedArray, by: str, count: int | None, *, highest_first: bool = False) -> pa.Table:
        """Of the chosen rows the first `count` by the column `by`, least first, NULL last; equal values by number.

        Those that are NULL there come by neg_elbo.
        """
        trial = self._table["trial"]
        zeros = pc.cast(pc.subtract(trial, trial), pa.float64())  # a scalar in its place would load pandas
        whole = self._with_metrics([by])
        instead = pc.if_else(pc.is_valid(whole[by]), zeros, whole["neg_elbo"])
        table = whole.select([by, "trial"]).append_column("instead", instead).filter(chosen)
        table = table.rename_columns(["by", "trial", "instead"])
        keys = [
            ("by", "descending" if highest_first else "ascending"),
            ("instead", "ascending"),
            ("trial", "ascending"),
        ]
        order = pc.sort_indices(table, sort_keys=keys)
        return table.take(order.slice(0, count)).select(["by", "trial"])


def read_leaderboard(
    store: Store,
    sweep: str,
    *,
    record: StoredRecord | None = None,
    before: Leaderboard | None = None,
    lists: bool = True,
) -> Leaderboard:
    """Read a sweep's leaderboard; a sweep without rows has none finished.

    Args:
        record: of the sweep, if it has been read already.
        before: as it was read earlier, not narrowed; only what is new is read then, and if nothing is, it is returned.
        lists: see `read_rows`.
    """
    read = read_rows(store, sweep, record=record, before=before.read if before else None, lists=lists)
    return before if before is not None and read is before.read else Leaderboard(read)


def _moved_up(order: pa.Table, first: Sequence[int]) -> pa.Table:
    """`order` with the rows of the trials `first` before all others, those that are in it."""
    place = {trial: position for position, trial in enumerate(order["trial"].to_pylist())}
    up = [place[trial] for trial in first if trial in place]
    moved = {*up}
    return order.take(int64_array([*up, *(position for position in range(len(order)) if position not in moved)]))


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(table[column].combine_chunks()).to_pylist()}
