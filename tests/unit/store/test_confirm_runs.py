"""Rows of confirm runs, and bounds per image: to Parquet and back, once and for ever."""

from dataclasses import fields, replace

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.rows import trial_row
from vae_search.core.image_bounds import ImageBounds
from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger import confirm_runs
from vae_search.store.ledger.checksums import encode_checked
from vae_search.store.ledger.confirm_runs import FINALIST_SCHEMA, ConfirmRow, ConfirmRuns, by_trial
from vae_search.store.ledger.image_bounds_file import (
    bounds_from_parquet,
    bounds_to_parquet,
    seeds_from_parquet,
    seeds_to_parquet,
)
from vae_search.store.ledger.rows import TRIAL_SCHEMA, TrialRow, trial_record
from vae_search.store.paths import SweepPaths


def row(trial: int = 42, seed: int = 1, **changes: object) -> ConfirmRow:
    return ConfirmRow.of(trial_row(trial, **changes), confirm_seed=seed)


def some_bounds(count: int = 20, **changes: object) -> ImageBounds:
    rng = np.random.default_rng(count)
    values = {name: rng.normal(200.0, 20.0, count) for name in ("distortion", "rate", "iwae", "baseline")}
    return ImageBounds(**(values | {"iwae_k": 500} | changes))


def test_a_confirm_run_comes_back_as_it_was_committed(store: LocalStore) -> None:
    finalists = ConfirmRuns(store, "digits")

    assert finalists.commit(row()) == row()
    assert finalists.row(42, 1) == row()
    assert store.list("sweeps") == ["sweeps/digits/finalists/000042-s1.parquet"]


def test_its_columns_are_a_trials_and_its_seed(store: LocalStore) -> None:
    ConfirmRuns(store, "digits").commit(row())
    path = store.local_path(SweepPaths("digits").finalist(42, 1))

    own = ["confirm_seed", "continues_epoch", "threads", "shards"]
    assert pq.read_schema(path).names == [*TRIAL_SCHEMA.names, *own]
    assert pq.read_schema(path).types == FINALIST_SCHEMA.types
    assert duckdb.read_parquet(str(path)).project("trial, confirm_seed").fetchall() == [(42, 1)]
    assert {field.name for field in fields(ConfirmRow)} - {field.name for field in fields(TrialRow)} == {*own}


def test_a_run_that_goes_on_is_told_from_those_of_fresh_seeds(store: LocalStore) -> None:
    finalists = ConfirmRuns(store, "digits")
    went_on = ConfirmRow.of(trial_row(42), confirm_seed=-2, continues_epoch=64, threads=2)
    for each in (row(42, 1), row(42, 2), went_on):
        finalists.commit(each)

    found = finalists.read()

    assert (found.rows, found.continued) == ((row(42, 1), row(42, 2)), (went_on,))
    assert store.list("sweeps")[0] == "sweeps/digits/finalists/000042-c2.parquet"
    assert confirm_runs.testifying([*found.rows, *found.continued], selecting=0) == [row(42, 1), row(42, 2)]


def test_a_row_without_the_columns_of_later_versions_is_read(store: LocalStore) -> None:
    record = trial_record(row()) | {"confirm_seed": 1}
    path = SweepPaths("digits").finalist(42, 1)
    schema = pa.schema([*TRIAL_SCHEMA, ("confirm_seed", pa.int32())])
    store.create(path, encode_checked(pa.Table.from_pylist([record], schema=schema), path=path))

    assert ConfirmRuns(store, "digits").row(42, 1) == row()


@pytest.mark.parametrize("changes", [{"confirm_seed": 1, "continues_epoch": 3}, {"confirm_seed": -1}])
def test_a_run_has_a_negative_seed_exactly_where_it_goes_on(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="negative exactly where a run goes on"):
        ConfirmRow.of(trial_row(42), **changes)


def test_losing_a_create_is_adopting_the_row_that_is_there(store: LocalStore) -> None:
    first = ConfirmRuns(store, "digits").commit(row())

    assert ConfirmRuns(store, "digits").commit(row(attempts=2)) == first


def test_all_rows_come_in_order_and_damaged_ones_are_named(store: LocalStore) -> None:
    finalists = ConfirmRuns(store, "digits")
    for trial, seed in [(7, 2), (42, 1), (7, 1), (7, 10)]:
        finalists.commit(row(trial, seed))
    path = SweepPaths("digits").finalist(7, 2)
    store.replace(path, store.read(path)[:-9])

    found = finalists.read()

    assert [each.key for each in found.rows] == ["000007-s1", "000007-s10", "000042-s1"]
    assert found.damaged == (path,)
    assert {trial: len(of) for trial, of in by_trial(found.rows).items()} == {7: 2, 42: 1}


def test_a_row_in_another_ones_place_is_damage(store: LocalStore) -> None:
    ConfirmRuns(store, "digits").commit(row())
    store.create(SweepPaths("digits").finalist(42, 2), store.read(SweepPaths("digits").finalist(42, 1)))

    with pytest.raises(CorruptStore, match="000042-s2"):
        ConfirmRuns(store, "digits").row(42, 2)


def test_a_missing_run_is_not_found_and_a_foreign_one_is_refused(store: LocalStore) -> None:
    with pytest.raises(NotFound):
        ConfirmRuns(store, "digits").row(1, 1)
    with pytest.raises(ValueError, match="cannot hold a row of"):
        ConfirmRuns(store, "digits").commit(row(sweep="other"))


@pytest.mark.parametrize("seed", [-1, 2**31, 1.0, True])
def test_a_seed_is_a_small_whole_number(seed: object) -> None:
    with pytest.raises(ValueError, match="confirm_seed"):
        row(seed=seed)  # type: ignore[arg-type]


def test_bounds_survive_the_round_trip_bit_for_bit() -> None:
    bounds = some_bounds()

    assert bounds_from_parquet(bounds_to_parquet(bounds), where="here") == bounds


def test_bounds_of_several_seeds_survive_the_round_trip() -> None:
    bounds = {5: some_bounds(20), 1: some_bounds(20, iwae_k=50)}

    content = seeds_to_parquet(bounds)

    assert seeds_from_parquet(content, where="here") == bounds
    with pytest.raises(CorruptStore, match=r"^here: must hold the bounds of one model"):
        bounds_from_parquet(content, where="here")
    with pytest.raises(CorruptStore, match=r"^here: must hold the bounds of confirmed seeds"):
        seeds_from_parquet(bounds_to_parquet(some_bounds()), where="here")


def test_other_readers_find_one_row_per_image(tmp_path) -> None:
    (tmp_path / "bounds.parquet").write_bytes(bounds_to_parquet(some_bounds(7)))

    table = duckdb.read_parquet(str(tmp_path / "bounds.parquet"))

    assert table.project("image, iwae_k").fetchall() == [(image, 500) for image in range(7)]


def test_damage_is_named_by_the_file_that_has_it() -> None:
    with pytest.raises(CorruptStore, match=r"^models/x/per: damaged"):
        bounds_from_parquet(bounds_to_parquet(some_bounds())[:-4], where="models/x/per")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": np.array([1.0, np.nan] * 10)}, "rate: must be finite, but image 1 has nan"),
        ({"iwae": np.zeros(19)}, "iwae: must have 20 values"),
        ({"distortion": np.zeros((20, 1))}, "one value per image"),
        ({name: np.zeros(0) for name in ("distortion", "rate", "iwae", "baseline")}, "one value per image"),
        ({"iwae_k": 0}, "iwae_k >= 1"),
    ],
)
def test_bounds_check_themselves(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(some_bounds(), **changes)
