"""The exported tables, read by pandas and compared with what DuckDB reads from the rows' own files."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.support.reported_sweeps import failed, put_sweep, spoil
from vae_search.services import exporting
from vae_search.store.backends.local import LocalStore
from vae_search.store.paths import SweepPaths

NOT_TABULAR = {"started_at", "finished_at", "kl_per_dimension"}


def columns_of(store: LocalStore, table: str, order: str) -> dict[str, list[object]]:
    files = str(Path(store.location) / "sweeps" / "digits" / table).replace("'", "''")
    return duckdb.sql(f"FROM '{files}/*.parquet' ORDER BY {order}").to_arrow_table().to_pydict()


@pytest.mark.parametrize(("table", "order"), [("trials", "trial"), ("epochs", "trial, epoch")])
def test_every_value_comes_back_to_the_last_bit(exported, source, table, order):
    expected = columns_of(source, table, order)

    found = pd.read_csv(exported / "tables" / f"{table}.csv")

    assert list(found.columns) == list(expected)
    assert len(found) == len(expected["trial"]) > 0
    for name in set(found.columns) - NOT_TABULAR:
        pairs = zip(found[name], expected[name], strict=True)
        assert all((pd.isna(a) and pd.isna(b)) or a == b for a, b in pairs), name


def test_times_and_lists_can_be_read(exported, source):
    expected = columns_of(source, "trials", "trial")

    found = pd.read_csv(exported / "tables" / "trials.csv", parse_dates=["started_at", "finished_at"])

    assert list(found["started_at"]) == expected["started_at"]
    assert json.loads(found["kl_per_dimension"][0]) == expected["kl_per_dimension"][0]


def test_a_name_that_ends_in_csv_is_the_table_of_trials(swept, tmp_path):
    done = exporting.export(
        swept, "digits", exporting.Targets(tensorboard=None, optuna=None, csv=tmp_path / "digits.csv")
    )

    assert [path.name for path in done.paths] == ["digits.csv", "digits-epochs.csv"]
    assert len(pd.read_csv(tmp_path / "digits.csv")) == 30
    assert len(pd.read_csv(tmp_path / "digits-epochs.csv")) == 120


def test_hostile_text_stays_in_its_cell(tmp_path):
    store = LocalStore(tmp_path / "store")
    error = 'a,"b"\r\n=cmd()\x1b[31m\u202e</script>'
    put_sweep(store, [failed(0, error=error), failed(1)])

    exporting.export(store, "digits", exporting.Targets(tensorboard=None, optuna=None, csv=tmp_path / "tables"))

    found = pd.read_csv(tmp_path / "tables" / "trials.csv")
    assert list(found["error"]) == [error, "loss is NaN"]


def test_what_is_damaged_is_left_out_and_named(swept, tmp_path):
    spoil(Path(swept.location) / SweepPaths("digits").trial(3))

    done = exporting.export(swept, "digits", exporting.Targets(tensorboard=None, optuna=None, csv=tmp_path / "tables"))

    assert done.damaged == (SweepPaths("digits").trial(3),)
    assert 3 not in set(pd.read_csv(tmp_path / "tables" / "trials.csv")["trial"])
