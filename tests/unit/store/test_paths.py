"""Paths of the store."""

import pytest

from vae_search.errors import NotFound
from vae_search.registry import model_paths as model_layout
from vae_search.store import paths as layout


def test_paths_are_as_the_design_draws_them() -> None:
    assert layout.resolved("digits") == "sweeps/digits/resolved.json"
    assert layout.lease("digits", 3) == "sweeps/digits/leases/000003.json"
    assert layout.suggestion("digits", layout.trial_key(42)) == "sweeps/digits/running/000042/suggestion.json"
    assert layout.checkpoint("digits", "000042", 3, 7) == "sweeps/digits/running/000042/000003/checkpoint-000007"
    assert layout.trial("digits", 42) == "sweeps/digits/trials/000042.parquet"
    assert layout.trial_epochs("digits", 42) == "sweeps/digits/epochs/000042.parquet"
    assert layout.artifact("digits", "000042-s1") == "sweeps/digits/artifacts/000042-s1"
    assert layout.finalist("digits", 42, 1) == "sweeps/digits/finalists/000042-s1.parquet"
    assert model_layout.model_entry("fashion", 7) == "models/fashion/log/000007.json"
    assert model_layout.version("fashion", 3) == "models/fashion/versions/3"


@pytest.mark.parametrize("trial", [0, 42, 99_999, 1_000_000])
def test_a_trial_is_read_back_from_its_paths(trial: int) -> None:
    assert layout.trial_of(layout.trial("digits", trial)) == trial
    assert layout.trial_of(layout.trial_epochs("digits", trial)) == trial


def test_a_file_that_is_not_named_after_a_trial_has_none() -> None:
    with pytest.raises(ValueError, match="named after a trial"):
        layout.trial_of("sweeps/digits/trials/notes.parquet")


def test_the_mark_of_an_ended_lease_is_no_lease() -> None:
    assert layout.number_of(layout.lease("digits", 3)) == 3
    assert layout.number_of(layout.lease_ended("digits", 3)) is None


def test_a_checkpoint_is_read_back_from_its_files() -> None:
    folder = layout.checkpoint("digits", "000042-s1", 3, 7)

    assert layout.checkpoint_of(layout.manifest(folder)) == (7, 3)
    assert layout.checkpoint_of(layout.suggestion("digits", "000042-s1")) is None


def test_only_rows_and_curves_belong_to_a_table() -> None:
    assert layout.table_of(layout.trial("digits", 1)) == "trials"
    assert layout.table_of(layout.trial_epochs("digits", 1)) == "epochs"
    assert layout.table_of(layout.resolved("digits")) is None
    assert layout.table_of("sweeps/digits/artifacts/trials/1.parquet") is None


@pytest.mark.parametrize("name", ["", "..", "../other", "a/b", ".hidden", "a b", "a\nb"])
def test_a_name_that_could_lead_elsewhere_is_no_sweep(name: str) -> None:
    with pytest.raises(NotFound, match="cannot be the name of a sweep"):
        layout.sweep(name)
