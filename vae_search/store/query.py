"""SQL over the ledger: the tables `trials` and `epochs`, of one sweep or of all."""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from vae_search.errors import CorruptStore, InvalidSpec, NotFound
from vae_search.store import layout
from vae_search.store.commit import Store
from vae_search.store.compact import usable_length
from vae_search.store.rows import EPOCH_SCHEMA, TRIAL_SCHEMA
from vae_search.store.sealed import check_seal


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """What a query found, and the files that it had to leave out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    damaged: tuple[str, ...]  # paths in the store


def query(store: Store, sql: str, *, sweep: str | None = None) -> QueryResult:
    """Answer one SELECT as `query_table` does, in Python's own values.

    Raises:
        InvalidSpec: As for `query_table`, or Python has no such value.
        NotFound: There is no such sweep.
    """
    answer, damaged = query_table(store, sql, sweep=sweep)
    try:
        columns = [_python_values(column) for column in answer.columns]
    except (OverflowError, ValueError, pa.ArrowException) as error:
        raise InvalidSpec(f"query: a value of the answer cannot be shown: {str(error).splitlines()[0]}") from error
    rows = tuple(zip(*columns, strict=True)) if answer.num_rows else ()
    return QueryResult(columns=tuple(answer.column_names), rows=rows, damaged=damaged)


def query_table(store: Store, sql: str, *, sweep: str | None = None) -> tuple[pa.Table, tuple[str, ...]]:
    """Answer one SELECT in DuckDB's SQL over the finished trials; times are in UTC.

    Damaged files, and learning curves that do not belong to a row, are left out. The SQL can read nothing but
    intact files of the two tables, and can write nothing.

    Args:
        sweep: Only this one; None means all.

    Returns:
        The answer, and the paths in the store of the files that were left out.

    Raises:
        InvalidSpec: The SQL is wrong, or more than one SELECT.
        NotFound: There is no such sweep.
    """
    prefix = layout.SWEEPS if sweep is None else layout.sweep(sweep)
    paths = store.list(prefix)
    if sweep is not None and not paths:
        raise NotFound(f"{store.location}: there is no sweep {sweep!r}.")
    with tempfile.TemporaryDirectory(prefix="vae-query-") as scratch, duckdb.connect() as connection:
        tables = _Tables(connection, store, paths, Path(scratch))
        try:
            asked = _asked_tables(connection, sql)
            if asked:  # the learning curves are checked against their rows, so they need both
                tables.show_trials()
            if "epochs" in asked:
                tables.show_epochs()
            tables.lock()
            answer = connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise InvalidSpec(f"query: {str(error).splitlines()[0]}") from error
    return answer, tuple(sorted(tables.damaged))


def _asked_tables(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    statements = connection.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    # EXPLAIN is out, too: with ANALYZE it runs what it explains, and a COPY would overwrite a row.
    if kinds != [duckdb.StatementType.SELECT]:
        found = ", ".join(kind.name for kind in kinds) or "nothing"
        raise InvalidSpec(f"query: must be one SELECT, but got {found}. The tables are trials and epochs.")
    try:
        names = {name.lower() for name in connection.get_table_names(sql)}
    except duckdb.Error:  # it cannot see through every query (JOIN … USING); a real mistake shows when it runs
        return {"trials", "epochs"}
    return names & {"trials", "epochs"}


class _Tables:
    """The views `trials` and `epochs` of one connection; empty until they are asked for.

    They are views, not copies, because a file has some seventy columns and most queries want five. Of a store that is
    on no file system, the files that are asked for are put into `scratch`: DuckDB's own way to S3 is an extension that
    it downloads, would not check the seals, and fetches every footer by itself.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, store: Store, paths: Iterable[str], scratch: Path
    ) -> None:
        self.damaged: list[str] = []
        self._scratch = scratch
        self._connection = connection
        self._store = store
        self._paths: dict[str | None, list[str]] = defaultdict(list)
        for path in paths:
            self._paths[layout.table_of(path)].append(path)
        self._use_copies()
        self._shown: list[str] = []
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA no_rows")
        for table, schema in (("trials", TRIAL_SCHEMA), ("epochs", EPOCH_SCHEMA)):
            connection.register("empty", schema.empty_table())
            connection.execute(f"CREATE TABLE no_rows.{table} AS FROM empty")
            connection.unregister("empty")
            self._show(table, {})

    def _use_copies(self) -> None:
        """Put the copy of a sweep's finished prefix in the place of its rows and curves, where there is a good one."""
        numbers: dict[str, set[int]] = defaultdict(set)
        for path in self._paths["trials"]:
            numbers[layout.sweep_of(path)].add(layout.number_of(path) or 0)
        lengths = {sweep: usable_length(self._store, sweep, found) for sweep, found in numbers.items()}
        for table, copy in (("trials", layout.compact_trials), ("epochs", layout.compact_epochs)):
            raw = [
                path
                for path in self._paths[table]
                if (layout.number_of(path) or 0) >= lengths.get(layout.sweep_of(path), 0)
            ]
            self._paths[table] = raw + [copy(sweep, length) for sweep, length in lengths.items() if length]
        self._lengths = lengths

    def show_trials(self) -> None:
        """Let `trials` read all intact rows."""
        self._show("trials", self._intact("trials"))

    def show_epochs(self) -> None:
        """Let `epochs` read the curves that the rows of `trials` were written with."""
        rows = self._connection.sql("SELECT sweep, trial, epochs_sha256 FROM trials").fetchall()
        expected = {
            layout.trial_epochs(sweep, trial): sha256
            for sweep, trial, sha256 in rows
            if trial >= self._lengths.get(sweep, 0)
        }
        self.damaged += set(expected) - set(self._paths["epochs"])
        # A curve without a row is what a dead attempt left behind, or its row is damaged and named already.
        self._paths["epochs"] = [
            path for path in self._paths["epochs"] if path in expected or layout.table_of(path) is None
        ]
        self._show("epochs", self._intact("epochs", expected))

    def lock(self) -> None:
        """From now on nothing but the shown files can be opened; DuckDB does not let this be undone."""
        self._connection.execute(f"SET allowed_paths = {_literal(self._shown)}")
        self._connection.execute("SET enable_external_access = false")

    def _intact(self, table: str, expected: dict[str, str] | None = None) -> dict[str, list[str]]:
        """The intact files of a table as local paths, grouped by their columns."""
        groups: dict[str, list[str]] = defaultdict(list)
        paths = self._paths[table]
        for path, content in zip(paths, self._store.read_many(paths), strict=True):
            try:
                if content is None:
                    raise CorruptStore(f"{path}: is not there any more.")
                columns = check_seal(content, path=path)
                if expected is not None and expected.get(path) not in (None, hashlib.sha256(content).hexdigest()):
                    raise CorruptStore(f"{path}: is not the learning curve that belongs to the row.")
            except CorruptStore:
                self.damaged.append(path)
                continue
            groups[columns].append(self._local_file(path, content))
        return groups

    def _local_file(self, path: str, content: bytes) -> str:
        found = self._store.local_path(path)
        if found is None:
            found = self._scratch / path.replace("/", "+")  # no name of a sweep has a "+"
            found.write_bytes(content)
        return str(found)

    def _show(self, table: str, groups: dict[str, list[str]]) -> None:
        # DuckDB's own union_by_name reads every footer twice; one scan per set of columns does the same in half the
        # time. Without either, it would drop columns that the first file lacks.
        scans = [f"FROM no_rows.{table}", *(f"FROM read_parquet({_literal(files)})" for files in groups.values())]
        self._connection.execute(f"CREATE OR REPLACE VIEW {table} AS {' UNION ALL BY NAME '.join(scans)}")
        self._shown += [file for files in groups.values() for file in files]


def _literal(texts: Iterable[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


def _python_values(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    if pa.types.is_decimal(column.type) and column.type.scale == 0:  # how a sum of integers arrives
        return [int(value) if isinstance(value, Decimal) else value for value in values]
    return values
