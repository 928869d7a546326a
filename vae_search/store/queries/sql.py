"""SQL over the store: the tables `trials`, `epochs`, `finalists`, `front` and `models`, of one sweep or of all."""

import json
from collections.abc import Callable, Iterator
from itertools import accumulate

import duckdb
import pyarrow as pa

from vae_search.core.scratch import scratch_folder
from vae_search.core.text import printable, shown
from vae_search.errors import InvalidSpec, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.query_result import QueryResult, first_line, result_of
from vae_search.store.queries.sql_process import QueryLimits, answer
from vae_search.store.queries.sql_views import SCHEMAS, ModelVersions, Views
from vae_search.store.queries.sql_worker import SETTINGS

TABLES = tuple(SCHEMAS)
STANDARD_LIMITS = QueryLimits()
MOST_NESTED = (
    100  # brackets; DuckDB's parser takes minutes for some thousands that are not closed, and nothing stops it
)
FUNCTIONS_WITHOUT_TABLES = {"range", "generate_series", "unnest", "repeat", "repeat_row"}
CONDITION = 'Write one such as "param_latent_dim < 32 AND active_units > 8".'


def _no_models() -> ModelVersions:
    return ModelVersions(records=(), damaged=())


def query(
    store: Store,
    sql: str,
    *,
    sweep: str | None = None,
    models: Callable[[], ModelVersions] = _no_models,
    limits: QueryLimits = STANDARD_LIMITS,
) -> QueryResult:
    """Answer one SELECT as `query_table` does, in Python's own values.

    Raises:
        InvalidSpec: As for `query_table`, or Python has no such value.
        NotFound: There is no such sweep.
    """
    table, damaged = query_table(store, sql, sweep=sweep, models=models, limits=limits)
    return result_of(table, damaged)


def query_table(
    store: Store,
    sql: str,
    *,
    sweep: str | None = None,
    models: Callable[[], ModelVersions] = _no_models,
    limits: QueryLimits = STANDARD_LIMITS,
) -> tuple[pa.Table, tuple[str, ...]]:
    """Answer one SELECT in DuckDB's SQL over what has finished; times are in UTC.

    Damaged files, and learning curves that do not belong to a row, are left out. The SQL is only parsed in this
    process; it runs in one of its own (`sql_process`), which can read nothing but intact files of the tables, calls no
    address, looks for no extension and writes nothing. NULL comes last in every order, also in a descending one.

    Args:
        sweep: Only this one; None means all.
        models: Called if the table `models` is asked for: the registry is not the store's to read.

    Returns:
        The answer, and the paths in the store of the files that were left out.

    Raises:
        InvalidSpec: The SQL is wrong, more than one SELECT, or goes beyond a limit.
        NotFound: There is no such sweep.
    """
    asked = asked_tables(sql)
    prefix = store_paths.SWEEPS if sweep is None else SweepPaths(sweep).folder
    paths = store.list(prefix)
    if sweep is not None and not paths:
        raise NotFound(f"{store.location}: there is no sweep {sweep!r}.")
    with (
        scratch_folder("query-") as scratch,
        duckdb.connect(config=dict(SETTINGS)) as connection,
    ):
        files, run = scratch / "files", scratch / "run"
        files.mkdir()
        run.mkdir()
        views = Views(connection, store, paths, files)
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
        found = answer(
            sql, definitions=views.definitions, allowed_paths=views.allowed_paths, scratch=run, limits=limits
        )
    return found, tuple(sorted(views.damaged))


def matching(store: Store, sweep: str, condition: str) -> tuple[set[int], tuple[str, ...]]:
    """The trials of a sweep that meet a condition, and the files that had to be left out.

    It is what a user writes after `--where`. One that is NULL for a trial, as any comparison with NULL is, is not met.
    It may look into the other tables of `query` and can do no more than `query` can.

    Args:
        condition: a boolean expression in DuckDB's SQL over the columns of the row.

    Raises:
        InvalidSpec: It is no such expression.
        NotFound: There is no such sweep.
    """
    _check_one_expression(condition)
    try:
        # On lines of its own, so that a comment at its end ends there.
        found = query(store, f"SELECT trial, (\n{condition}\n) AS met FROM trials", sweep=sweep)  # noqa: S608 - checked
    except InvalidSpec as error:
        raise _refusal(condition, error.problems[0]) from error
    others = [met for _, met in found.rows if met is not None and not isinstance(met, bool)]
    if others:
        raise _refusal(condition, f"must be true or false for each trial, but gives {shown(others[0])}")
    return {trial for trial, met in found.rows if met and isinstance(trial, int)}, found.damaged


def asked_tables(sql: str) -> set[str]:
    """The tables that one SELECT may name, found by parsing alone.

    Too many are only slow, but one too few would look empty: what cannot be read from the syntax means all of them.

    Raises:
        InvalidSpec: It is not one SELECT.
    """
    if _is_nested_too_deeply(sql):
        raise InvalidSpec(f"must nest at most {MOST_NESTED} brackets.", where="query")
    with parser() as connection:
        try:
            statements = connection.extract_statements(sql)
        except duckdb.Error as error:
            raise InvalidSpec(first_line(str(error)), where="query") from error
        kinds = [statement.type for statement in statements]
        # EXPLAIN is out, too: with ANALYZE it runs what it explains, and a COPY would overwrite a row.
        if kinds != [duckdb.StatementType.SELECT]:
            found = ", ".join(kind.name for kind in kinds) or "nothing"
            raise InvalidSpec(
                f"must be one SELECT, but got {found}. The tables are {', '.join(TABLES)}.", where="query"
            )
        try:
            (text,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone() or ("{}",)
            tree = json.loads(text)
        except (duckdb.Error, ValueError, RecursionError):
            return {*TABLES}
    names = set(_named_tables(tree))
    return {*TABLES} if tree.get("error") or None in names else {name for name in names if name} & {*TABLES}


def parser() -> duckdb.DuckDBPyConnection:
    """Open a connection that can do nothing but parse: no files, no network, no extensions, from its first moment."""
    return duckdb.connect(config={**SETTINGS, "enable_external_access": "false", "lock_configuration": "true"})


def _named_tables(tree: object) -> Iterator[str | None]:
    """Names of tables in a statement's syntax; None for a function that may take the name of a table."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(name := node.get("table_name"), str):
                yield name.lower()
            if node.get("type") == "TABLE_FUNCTION":
                function = node.get("function")
                called = function.get("function_name") if isinstance(function, dict) else None
                if called not in FUNCTIONS_WITHOUT_TABLES:
                    yield None
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _check_one_expression(condition: str) -> None:
    """Refuse text that is no expression by itself, such as `true) FROM epochs --` or `true) UNION SELECT 1, (true`.

    Whatever closes a bracket that it has not opened cannot stand between both kinds of brackets.
    """
    if _is_nested_too_deeply(condition):
        raise _refusal(condition, f"must nest at most {MOST_NESTED} brackets")
    with parser() as connection:
        for left, right in ("()", "[]"):
            try:
                statements = connection.extract_statements(f"SELECT {left}\n{condition}\n{right}")
            except duckdb.Error as error:
                raise _refusal(condition, first_line(str(error))) from error
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise _refusal(condition, "must be one expression")


def _is_nested_too_deeply(sql: str) -> bool:
    """True if more brackets are open at once than anybody needs.

    Those in texts count, too, and closing ones in a text close nothing before it.
    """
    steps = (("([{".find(sign) >= 0) - (")]}".find(sign) >= 0) for sign in sql)
    depth = accumulate(steps, lambda open_now, step: max(0, open_now + step), initial=0)
    return max(depth) > MOST_NESTED


def _refusal(condition: str, why: str) -> InvalidSpec:
    return InvalidSpec(f"--where {shown(condition)}: is no condition: {printable(why, 300)}. {CONDITION}")
