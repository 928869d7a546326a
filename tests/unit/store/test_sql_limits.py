"""What the SQL of a query cannot reach, and how far it may go in time and memory."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rows import epoch_rows, trial_row
from tests.support.web_server import serving
from vae_search.errors import InvalidSpec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.sql import TABLES, asked_tables, matching, query
from vae_search.store.queries.sql_process import QueryLimits

READERS = [
    "read_csv('{path}')",
    "read_json('{path}')",
    "read_parquet('{path}')",
    "read_duckdb('{path}')",
    "read_blob('{path}')",
    "read_text('{path}')",
    "glob('{path}')",
    "'{path}'",
]
ENDLESS = "SELECT sum(a.range) FROM range(1e12::BIGINT) a, range(1e12::BIGINT)"


class Pipe:
    """A named pipe, and whether anybody has opened it to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = threading.Event()
        os.mkfifo(path)
        self._writer = threading.Thread(target=self._open)
        self._writer.start()

    def _open(self) -> None:
        os.close(os.open(self.path, os.O_WRONLY))  # returns when somebody opens it to read
        self.opened.set()

    def close(self) -> None:
        """Let the writer go, as the reader that it waits for."""
        while self._writer.is_alive():
            os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
            self._writer.join(0.05)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "pipe.csv")
    yield pipe
    pipe.close()


@pytest.fixture
def store(store: LocalStore) -> LocalStore:
    """One trial of sweep `digits`."""
    Ledger(store, "digits").commit(trial_row(0), epoch_rows(0))
    return store


@pytest.mark.parametrize("reader", READERS)
def test_sql_opens_no_file(store: LocalStore, pipe: Pipe, reader: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        query(store, f"FROM {reader.format(path=pipe.path)}, trials")

    assert not pipe.opened.is_set()
    assert "Cannot access file" in str(refusal.value)


def test_a_condition_opens_no_file(store: LocalStore, pipe: Pipe) -> None:
    with pytest.raises(InvalidSpec, match="Cannot access file"):
        matching(store, "digits", f"trial IN (FROM read_csv('{pipe.path}'))")

    assert not pipe.opened.is_set()


@pytest.mark.parametrize("source", ["read_csv('{url}/a.csv')", "'{url}/a.parquet'", "read_duckdb('{url}/a.db')"])
def test_sql_calls_no_address_and_looks_for_no_extension(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # DuckDB would keep extensions there
    with serving(b"a\n1\n") as (url, asked), pytest.raises(InvalidSpec, match="Cannot access file"):
        query(store, f"FROM {source.format(url=url)}")

    assert asked == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("sql", ["SELECT ST_Point(1, 2)", "FROM sqlite_scan('a', 'b')", "FROM load_aws_credentials()"])
def test_a_function_of_an_extension_is_not_there(store: LocalStore, sql: str) -> None:
    with pytest.raises(InvalidSpec, match=r"in the catalog|does not exist"):
        query(store, sql)


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH 'a.db'",
        "COPY trials TO 'a.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET threads = 99",
        "RESET threads",
        "CALL pragma_version()",
        "USE main",
        "EXPORT DATABASE 'a'",
        "IMPORT DATABASE 'a'",
        "CREATE SECRET s (TYPE s3)",
        "CREATE TABLE t (a INT)",
        "SELECT 1; SET threads = 99",
    ],
)
def test_only_a_select_is_answered(store: LocalStore, statement: str) -> None:
    with pytest.raises(InvalidSpec, match="query: must be one SELECT, but got"):
        query(store, statement)


@pytest.mark.parametrize(
    ("sql", "limits", "message"),
    [
        (ENDLESS, QueryLimits(timeout_s=0.5), "must end within 0.5 s, but did not and was stopped. Ask for less"),
        ("SELECT list(range) FROM range(1e9::BIGINT)", QueryLimits(memory_bytes=2**28), "more than 0.25 GiB of memory"),
        # DuckDB itself does not count the memory of one value: this took 8.5 GB and 20 s.
        ("SELECT len(range(1000000000))", QueryLimits(memory_bytes=2**28), "more than 0.25 GiB of memory"),
        ("FROM range(1e12::BIGINT)", QueryLimits(answer_bytes=2**20), "its answer is larger than 1 MiB"),
        (
            "SELECT repeat('x', 9) FROM range(200000)",
            QueryLimits(answer_bytes=2**20),
            "its answer is larger than 1 MiB",
        ),
    ],
)
def test_a_query_that_goes_too_far_ends_with_one_line(
    store: LocalStore, sql: str, limits: QueryLimits, message: str
) -> None:
    with pytest.raises(InvalidSpec, match=message) as refusal:
        query(store, sql, limits=limits)

    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_the_time_limit_is_a_positive_number(timeout_s: float) -> None:
    with pytest.raises(InvalidSpec, match="timeout_s: must be a positive number"):
        QueryLimits(timeout_s=timeout_s)


def test_a_process_that_is_killed_is_no_answer(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_search.store.queries.sql_process.GRACE_S", -0.9)  # before DuckDB's own limit

    with pytest.raises(InvalidSpec, match="must end within 1 s"):
        query(store, ENDLESS, limits=QueryLimits(timeout_s=1))


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT 1", set()),
        ("FROM Trials t JOIN main.epochs USING (sweep, trial)", {"trials", "epochs"}),
        (
            "SELECT (SELECT count(*) FROM models), [x FOR x IN (SELECT list(trial) FROM finalists)]",
            {"models", "finalists"},
        ),
        ("WITH a AS (FROM front) SELECT * FROM a WHERE EXISTS (FROM trials)", {"front", "trials"}),
        ("DESCRIBE epochs", {"epochs"}),
        ("FROM range(3) a, LATERAL (FROM trials WHERE trial = a.range)", {"trials"}),
        ('SELECT \'"table_name":"front"\'', set()),
        ("FROM query('FROM ' || 'trials')", {*TABLES}),
        ("FROM query_table('trials')", {*TABLES}),
        ("FROM histogram('trials', neg_elbo)", {*TABLES}),
        ("FROM (PIVOT trials ON state IN ('COMPLETE') USING count(*))", {"trials"}),
    ],
)
def test_the_tables_of_a_query_are_found_by_its_syntax(sql: str, tables: set[str]) -> None:
    assert asked_tables(sql) == tables


@pytest.mark.parametrize("opened", ["(", "[", "{'a': ", "abs((SELECT "])
def test_brackets_that_the_parser_would_need_minutes_for_are_refused_unparsed(store: LocalStore, opened: str) -> None:
    with pytest.raises(InvalidSpec, match="must nest at most 100 brackets"):
        query(store, "SELECT " + opened * 20_000)
    with pytest.raises(InvalidSpec, match="must nest at most 100 brackets"):
        matching(store, "digits", opened * 2_000)


def test_closing_brackets_in_a_text_close_nothing_that_is_opened_after_it(store: LocalStore) -> None:
    with pytest.raises(InvalidSpec, match="must nest at most 100 brackets"):
        query(store, f"SELECT '{')' * 20_000}', {'(' * 20_000}")
    with pytest.raises(InvalidSpec, match="must nest at most 100 brackets"):
        matching(store, "digits", f"'{')' * 2_000}' = {'(' * 2_000}")


def test_brackets_that_are_closed_again_may_be_many(store: LocalStore) -> None:
    sql = f"SELECT {'+'.join(['(1)'] * 400)}, {'(' * 100}1{')' * 100}"

    assert query(store, sql).rows == ((400, 1),)
