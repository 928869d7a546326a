"""Paths of the store."""

import pytest

from vae_search.errors import NotFound
from vae_search.registry import model_paths
from vae_search.store import paths as store_paths
from vae_search.store.paths import SweepPaths


def test_paths_are_as_the_design_draws_them() -> None:
    assert SweepPaths("digits").resolved == "sweeps/digits/resolved.json"
    assert SweepPaths("digits").lease(3) == "sweeps/digits/leases/000003.json"
    assert SweepPaths("digits").suggestion(store_paths.trial_key(42)) == "sweeps/digits/running/000042/suggestion.json"
    assert SweepPaths("digits").checkpoint("000042", 3, 7) == "sweeps/digits/running/000042/000003/checkpoint-000007"
    assert SweepPaths("digits").trial(42) == "sweeps/digits/trials/000042.parquet"
    assert SweepPaths("digits").trial_epochs(42) == "sweeps/digits/epochs/000042.parquet"
    assert SweepPaths("digits").artifact("000042-s1") == "sweeps/digits/artifacts/000042-s1"
    assert SweepPaths("digits").finalist(42, 1) == "sweeps/digits/finalists/000042-s1.parquet"
    assert model_paths.model_entry("fashion", 7) == "models/fashion/log/000007.json"
    assert model_paths.version("fashion", 3) == "models/fashion/versions/3"


@pytest.mark.parametrize("trial", [0, 42, 99_999, 1_000_000])
def test_a_trial_is_read_back_from_its_paths(trial: int) -> None:
    assert store_paths.number_of(SweepPaths("digits").trial(trial)) == trial
    assert store_paths.number_of(SweepPaths("digits").trial_epochs(trial)) == trial


def test_a_file_that_is_not_named_after_a_trial_has_none() -> None:
    assert store_paths.number_of("sweeps/digits/trials/notes.parquet") is None


def test_the_mark_of_an_ended_lease_is_no_lease() -> None:
    assert store_paths.number_of(SweepPaths("digits").lease(3)) == 3
    assert store_paths.number_of(SweepPaths("digits").lease_ended(3)) is None


def test_a_checkpoint_is_read_back_from_its_files() -> None:
    folder = SweepPaths("digits").checkpoint("000042-s1", 3, 7)

    assert store_paths.checkpoint_of(store_paths.manifest(folder)) == (7, 3)
    assert store_paths.checkpoint_of(SweepPaths("digits").suggestion("000042-s1")) is None


def test_only_rows_and_curves_belong_to_a_table() -> None:
    assert store_paths.table_of(SweepPaths("digits").trial(1)) == "trials"
    assert store_paths.table_of(SweepPaths("digits").trial_epochs(1)) == "epochs"
    assert store_paths.table_of(SweepPaths("digits").resolved) is None
    assert store_paths.table_of("sweeps/digits/artifacts/trials/1.parquet") is None


@pytest.mark.parametrize("name", ["", "..", "../other", "a/b", ".hidden", "a b", "a\nb"])
def test_a_name_that_could_lead_elsewhere_is_no_sweep(name: str) -> None:
    with pytest.raises(NotFound, match="cannot be the name of a sweep"):
        SweepPaths(name)
