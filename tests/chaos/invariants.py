"""What must hold of a sweep's store after any kill, read twice: by DuckDB alone, and through the package."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.leases.records import newest_lease
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths

MAX_ATTEMPTS = 200  # more than any campaign here can cause: a counter that ran away


@dataclass(frozen=True)
class Seen:
    """The digests of a sweep's rows at one moment, by path: none of them may ever change or go."""

    rows: dict[str, str]

    @property
    def trials(self) -> set[int]:
        return {number for path in self.rows if (number := store_paths.number_of(path)) is not None}


def seen(store: Store, sweep: str) -> Seen:
    paths = [path for path in store.list(SweepPaths(sweep).trials) if path.endswith(".parquet")]
    return Seen(rows={path: hashlib.sha256(store.read(path)).hexdigest() for path in paths})


def check_invariants(
    store: Store, sweep: str, before: Seen, *, shown: Sequence[int], trials: int, finished: bool
) -> Seen:
    """Hold the store to I1, I3 and I4, and return how it stands.

    Args:
        before: how it stood at an earlier moment.
        shown: the trials that drivers have reported as finished so far, in order, of all drivers together.
        trials: the sweep's budget.
        finished: whether the budget must be used by now.
    """
    now = seen(store, sweep)
    lost = {path: digest for path, digest in before.rows.items() if now.rows.get(path) != digest}
    assert not lost, f"rows that were there are gone or changed: {sorted(lost)}"
    twice = [trial for trial, times in Counter(shown).items() if times > 1]
    assert not twice, f"shown as finished more than once: {twice}"
    unbacked = set(shown) - now.trials
    assert not unbacked, f"shown as finished, but without a row: {sorted(unbacked)}"
    _check_with_duckdb(store, sweep, trials=trials, finished=finished)
    _check_with_the_package(store, sweep, now, trials=trials)
    return now


def _check_with_duckdb(store: Store, sweep: str, *, trials: int, finished: bool) -> None:
    with duckdb.connect() as connection:
        rows = _read(connection, store, SweepPaths(sweep).trials, "trial, epochs, attempts, lease")
        points = _read(connection, store, SweepPaths(sweep).epochs, "trial, epoch")
    numbers = [trial for trial, *_ in rows]
    assert len(numbers) == len(set(numbers)), f"two rows of one trial: {sorted(numbers)}"
    assert set(numbers) <= set(range(trials)), f"the budget of {trials} is exceeded: {sorted(numbers)}"
    if finished:
        assert sorted(numbers) == list(range(trials))
    newest = newest_lease(store, sweep)
    for trial, _, attempts, lease in rows:
        assert 1 <= attempts <= MAX_ATTEMPTS, f"trial {trial} has {attempts} attempts"
        assert 1 <= lease <= newest, f"trial {trial} was written under lease {lease} of {newest}"
    curves: dict[int, list[int]] = {trial: [] for trial in numbers}
    for trial, epoch in points:
        if trial in curves:  # the curve of a trial whose driver died before its row is no one's yet
            curves[trial].append(epoch)
    for trial, epochs, *_ in rows:
        assert sorted(curves[trial]) == list(range(1, epochs + 1)), f"trial {trial}: epochs {sorted(curves[trial])}"


def _check_with_the_package(store: Store, sweep: str, now: Seen, *, trials: int) -> None:
    if not any(path.endswith("/resolved.json") for path in store.list(SweepPaths(sweep).folder)):
        assert not now.trials, "rows of a sweep without a record"
        return  # its driver was killed before there was a sweep
    found = inspect(store, sweep)
    assert not found.damaged, found.damaged
    assert not found.set_aside
    ledger = Ledger(store, sweep)
    kept = ledger.read()
    curves = ledger.curves(kept.rows)
    assert {row.trial for row in kept.rows} == now.trials
    assert set(curves.by_trial) == now.trials
    assert (*kept.damaged, *curves.damaged) == ()
    issued = {
        int(path.split("/")[3]) for path in store.list(SweepPaths(sweep).running) if path.endswith("suggestion.json")
    }
    assert issued <= set(range(trials)), f"issued beyond the budget of {trials}: {sorted(issued)}"


def _read(connection: duckdb.DuckDBPyConnection, store: Store, folder: str, columns: str) -> list[tuple[int, ...]]:
    where = store.local_path(folder)
    assert where is not None
    files = sorted(str(path) for path in where.glob("*.parquet"))
    return connection.read_parquet(files).project(columns).fetchall() if files else []
