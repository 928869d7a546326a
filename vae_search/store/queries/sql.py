"""SQL over the store: the tables `trials`, `epochs`, `finalists`, `front` and `models`, of one sweep or of all."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from vae_search.core.text import printable
from vae_search.errors import InvalidSpec, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql_views import SCHEMAS, ModelVersions, Views

TABLES = tuple(SCHEMAS)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """Result of a query, and the files that it had to leave out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    damaged: tuple[str, ...]  # paths in the store


def _no_models() -> ModelVersions:
    return ModelVersions(records=(), damaged=())


def query(
    store: Store, sql: str, *, sweep: str | None = None, models: Callable[[], ModelVersions] = _no_models
) -> QueryResult:
    """Answer one SELECT as `query_table` does, in Python's own values.

    Raises:
        InvalidSpec: As for `query_table`, or Python has no such value.
        NotFound: There is no such sweep.
    """
    answer, damaged = query_table(store, sql, sweep=sweep, models=models)
    try:
        columns = [_python_values(column) for column in answer.columns]
    except (OverflowError, ValueError, pa.ArrowException) as error:
        raise InvalidSpec(f"query: a value of the answer cannot be shown: {_first_line(error)}") from error
    rows = tuple(zip(*columns, strict=True)) if answer.num_rows else ()
    return QueryResult(columns=tuple(answer.column_names), rows=rows, damaged=damaged)


def query_table(
    store: Store, sql: str, *, sweep: str | None = None, models: Callable[[], ModelVersions] = _no_models
) -> tuple[pa.Table, tuple[str, ...]]:
    """Answer one SELECT in DuckDB's SQL over what has finished; times are in UTC.

    Damaged files, and learning curves that do not belong to a row, are left out. The SQL can read nothing but
    intact files of the tables, and can write nothing. NULL comes last in every order, also in a descending one.

    Args:
        sweep: Only this one; None means all.
        models: Called if the table `models` is asked for: the registry is not the store's to read.

    Returns:
        The answer, and the paths in the store of the files that were left out.

    Raises:
        InvalidSpec: The SQL is wrong, or more than one SELECT.
        NotFound: There is no such sweep.
    """
    prefix = store_paths.SWEEPS if sweep is None else SweepPaths(sweep).folder
    paths = store.list(prefix)
    if sweep is not None and not paths:
        raise NotFound(f"{store.location}: there is no sweep {sweep!r}.")
    with tempfile.TemporaryDirectory(prefix="vae-query-") as scratch, duckdb.connect() as connection:
        views = Views(connection, store, paths, Path(scratch))
        try:
            asked = _asked_tables(connection, sql)
            # The learning curves are checked against their rows, and a front is that of rows: these need both.
            if asked & {"trials", "epochs", "front"}:
                views.show_trials()
            if "front" in asked:
                views.show_front()
            if "epochs" in asked:
                views.show_epochs()
            if "finalists" in asked:
                views.show_finalists()
            if "models" in asked:
                views.show_models(models, sweep=sweep)
            views.lock()
            answer = connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise InvalidSpec(_first_line(error), where="query") from error
    return answer, tuple(sorted(views.damaged))


def _asked_tables(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    statements = connection.extract_statements(sql)
    kinds = [statement.type for statement in statements]
    # EXPLAIN is out, too: with ANALYZE it runs what it explains, and a COPY would overwrite a row.
    if kinds != [duckdb.StatementType.SELECT]:
        found = ", ".join(kind.name for kind in kinds) or "nothing"
        raise InvalidSpec(f"must be one SELECT, but got {found}. The tables are {', '.join(TABLES)}.", where="query")
    try:
        names = {name.lower() for name in connection.get_table_names(sql)}
    except duckdb.Error:  # it cannot see through every query (JOIN … USING); a real mistake shows when it runs
        return {*TABLES}
    return names & {*TABLES}


def _first_line(error: Exception) -> str:
    # The SQL itself may be quoted in it.
    return printable((str(error).splitlines() or [type(error).__name__])[0], 300)


def _python_values(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    if pa.types.is_decimal(column.type) and column.type.scale == 0:  # how a sum of integers arrives
        return [int(value) if isinstance(value, Decimal) else value for value in values]
    return values
