"""SQL over the ledger."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.rows import BEGAN, epoch_rows, trial_row
from vae_search.errors import InvalidSpec, NotFound
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.checksums import decode_checked, encode_checked
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql import query


@pytest.fixture
def store(store: LocalStore) -> LocalStore:
    """Two sweeps with three trials each, two epochs per trial."""
    for sweep in ("digits", "fashion"):
        store.create(SweepPaths(sweep).resolved, b"{}")
        for trial in range(3):
            Ledger(store, sweep).commit(trial_row(trial, sweep), epoch_rows(trial, sweep))
    return store


def damage(store: LocalStore, path: str) -> None:
    """Change one byte that DuckDB alone would not notice: a value in a page."""
    content = bytearray(store.read(path))
    content[60] ^= 1
    store.replace(path, bytes(content))


def test_a_query_sees_all_sweeps(store: LocalStore) -> None:
    found = query(store, "SELECT sweep, trial, neg_elbo, param_beta FROM trials ORDER BY sweep DESC, trial LIMIT 2")

    assert found.columns == ("sweep", "trial", "neg_elbo", "param_beta")
    assert found.rows == (("fashion", 0, 100.0, 0.5), ("fashion", 1, 101.0, 0.5))
    assert found.damaged == ()


def test_a_query_can_be_kept_to_one_sweep(store: LocalStore) -> None:
    found = query(
        store,
        "SELECT DISTINCT sweep, count(*) FROM trials JOIN epochs USING (sweep, trial) GROUP BY ALL",
        sweep="digits",
    )

    assert found.rows == (("digits", 6),)


def test_there_is_no_answer_about_a_sweep_that_does_not_exist(store: LocalStore) -> None:
    with pytest.raises(NotFound, match="no sweep 'digit'"):
        query(store, "SELECT 1", sweep="digit")


@pytest.mark.parametrize("table", ["trials", "epochs"])
def test_an_empty_store_has_empty_tables_with_all_columns(tmp_path: Path, table: str) -> None:
    found = query(LocalStore(tmp_path), f"FROM {table}")

    assert found.columns[:3] in [("schema_version", "sweep", "trial"), ("sweep", "trial", "epoch")]
    assert found.rows == ()


def test_values_are_plain_python(store: LocalStore) -> None:
    found = query(
        store, "SELECT sum(trial), avg(trial), max(finished_at), any_value(kl_per_dimension), NULL FROM trials"
    )

    row = found.rows[0]
    assert row[:2] == (6, 1.0)
    assert type(row[0]) is int
    assert row[2] == BEGAN + timedelta(seconds=90)
    assert row[2].utcoffset() == timedelta(0)
    assert row[3:] == ([0.5, 1.5, 2.5], None)


def test_times_are_in_utc_wherever_the_query_runs(store: LocalStore) -> None:
    assert query(store, "SELECT current_setting('TimeZone')").rows == (("UTC",),)


def test_two_columns_of_one_name_are_both_there(store: LocalStore) -> None:
    found = query(store, "SELECT trial, trial + 1 AS trial FROM trials WHERE sweep = 'digits' ORDER BY 1")

    assert found.rows == ((0, 1), (1, 2), (2, 3))


@pytest.mark.parametrize(
    "sql", ["DESCRIBE trials", "SUMMARIZE trials", "FROM trials", 'WITH best AS (FROM "Trials") FROM best']
)
def test_every_way_to_select_is_welcome(store: LocalStore, sql: str) -> None:
    assert query(store, sql).rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "Parser Error"),
        ("SELECT neg_elb FROM trials", '"neg_elb" not found'),
        ("SELECT * FROM trails", "trails does not exist"),
        ("SELECT 1; SELECT 2", "must be one SELECT, but got SELECT, SELECT"),
        ("", "but got nothing"),
        ("DROP VIEW trials", "but got DROP"),
        ("INSERT INTO trials (trial) VALUES (9)", "but got INSERT"),
        ("COPY trials TO 'out.csv'", "but got COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'", "but got EXPLAIN"),
        ("ATTACH 'other.db'", "but got ATTACH"),
        ("SET enable_external_access = true", "but got SET"),
    ],
)
def test_a_wrong_query_is_answered_in_one_line(store: LocalStore, sql: str, message: str) -> None:
    with pytest.raises(InvalidSpec, match=message) as failure:
        query(store, sql)

    assert len(str(failure.value).splitlines()) == 1
    assert str(failure.value).startswith("query: ")


@pytest.mark.parametrize(
    "source",
    [
        "read_text('{file}')",
        "read_csv('{file}')",
        "'{file}'",
        "glob('{folder}/*')",
        "query('COPY (SELECT 1) TO ''{file}''')",
    ],
)
def test_sql_reaches_no_other_file(store: LocalStore, tmp_path: Path, source: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")

    with pytest.raises(InvalidSpec):
        query(store, f"FROM {source.format(file=secret, folder=tmp_path)}")

    assert secret.read_text() == "a\n1\n"


def test_sql_reaches_no_variable_of_this_program(store: LocalStore) -> None:
    private = pa.table({"a": [1]})

    with pytest.raises(InvalidSpec, match="private does not exist"):
        query(store, "SELECT * FROM private")

    assert private.num_rows == 1


def test_damaged_rows_are_left_out_and_named(store: LocalStore) -> None:
    damage(store, SweepPaths("digits").trial(1))
    store.replace(SweepPaths("digits").trial(2), b"PAR1")
    store.create(SweepPaths("digits").trial(9), store.read(SweepPaths("digits").trial(0)))  # trial 0 again, as 9

    found = query(store, "SELECT trial FROM trials WHERE sweep = 'digits'")

    assert found.rows == ((0,),)
    assert found.damaged == tuple(SweepPaths("digits").trial(trial) for trial in (1, 2, 9))


def test_damaged_curves_are_left_out_and_named(store: LocalStore) -> None:
    damage(store, SweepPaths("digits").trial_epochs(0))
    store.remove(SweepPaths("digits").trial_epochs(1))

    found = query(store, "SELECT trial, count(*) FROM epochs GROUP BY trial", sweep="digits")

    assert found.rows == ((2, 2),)
    assert found.damaged == tuple(SweepPaths("digits").trial_epochs(trial) for trial in (0, 1))


def test_the_curve_of_an_unfinished_trial_is_not_shown(store: LocalStore) -> None:
    store.remove(SweepPaths("digits").trial(0))  # as if it had not been written yet

    found = query(store, "SELECT DISTINCT trial FROM epochs ORDER BY trial", sweep="digits")

    assert found.rows == ((1,), (2,))
    assert found.damaged == ()


def test_a_curve_of_another_attempt_is_not_shown(store: LocalStore, tmp_path: Path) -> None:
    other = LocalStore(tmp_path / "other")
    Ledger(other, "digits").commit(trial_row(0), epoch_rows(0, epochs=7))
    store.replace(SweepPaths("digits").trial_epochs(0), other.read(SweepPaths("digits").trial_epochs(0)))

    found = query(store, "SELECT DISTINCT trial FROM epochs ORDER BY trial", sweep="digits")

    assert found.rows == ((1,), (2,))
    assert found.damaged == (SweepPaths("digits").trial_epochs(0),)


def test_rows_of_an_older_and_of_a_newer_version_stand_side_by_side(store: LocalStore) -> None:
    first, last = SweepPaths("digits").trial(0), SweepPaths("digits").trial(2)
    older = (
        decode_checked(store.read(first), path=first).drop_columns(["compiled", "iwae"]).replace_schema_metadata(None)
    )
    newer = (
        decode_checked(store.read(last), path=last).replace_schema_metadata(None).append_column("later", pa.array([5]))
    )
    store.replace(first, encode_checked(older, path=first))
    store.replace(last, encode_checked(newer, path=last))

    found = query(store, "SELECT trial, neg_elbo, iwae, later FROM trials ORDER BY trial", sweep="digits")

    assert found.rows == ((0, 100.0, None, None), (1, 101.0, None, None), (2, 102.0, None, 5))
