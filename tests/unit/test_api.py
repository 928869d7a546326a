"""The Python API: the command line's words, with pandas frames where tables are meant."""

import subprocess
import sys
from datetime import UTC
from pathlib import Path

import duckdb
import pandas as pd
import pytest

import vae_search
from tests.support.paths import ROOT
from tests.support.reported_sweeps import complete, failed, mixed, pruned, put_sweep, spoil
from vae_search.errors import InvalidSpec, NotFound
from vae_search.store.backends.local import LocalStore
from vae_search.store.paths import SweepPaths


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A folder with sweep `digits`: thirty trials that have ended."""
    put_sweep(LocalStore(tmp_path / "store"), mixed())
    return str(tmp_path / "store")


def test_best_is_what_duckdb_ranks_first(store):
    rows = duckdb.read_parquet(f"{store}/sweeps/digits/trials/*.parquet")
    expected = rows.filter("state = 'COMPLETE'").order("objective, trial").project("trial").fetchall()

    found = vae_search.best("digits", store=store)

    assert [(trial,) for trial in found["trial"]] == expected
    assert found["objective"].is_monotonic_increasing
    assert [name for name in found.columns if name.startswith("param_")] == [
        *("param_architecture", "param_latent_dim", "param_beta", "param_depth")
    ]


def test_best_can_be_cut_ranked_otherwise_and_show_every_state(store):
    assert len(vae_search.best("digits", count=3, store=store)) == 3
    assert vae_search.best("digits", by="train_flops", store=store)["train_flops"].is_monotonic_increasing
    assert set(vae_search.best("digits", every_state=True, store=store)["state"]) == {"COMPLETE", "PRUNED", "FAIL"}


def test_null_is_na_and_whole_numbers_stay_whole(store):
    found = vae_search.best("digits", every_state=True, store=store)

    assert str(found["param_depth"].dtype) == "Int64"
    assert found["param_depth"].isna().sum() == 15  # conv has none
    assert found.loc[found["state"] == "FAIL", "objective"].isna().all()
    assert str(found["objective"].dtype) == "Float64"


def test_a_query_is_a_frame_with_aware_times(store):
    found = vae_search.query(
        "SELECT trial, started_at, sum(epochs) OVER () AS all_epochs, kl_per_dimension, 1.5 AS half FROM trials "
        "ORDER BY trial",
        store=store,
    )

    assert found["started_at"][0] == complete(0).started_at
    assert found["started_at"].dt.tz == UTC or str(found["started_at"].dt.tz) == "UTC"
    assert (str(found["all_epochs"].dtype), found["all_epochs"][0]) == ("Int64", 60)
    assert (str(found["half"].dtype), found["half"][0]) == ("Float64", 1.5)
    assert list(found["kl_per_dimension"][0]) == list(complete(0).kl_per_dimension)


def test_a_sum_beyond_64_bits_is_a_double(store):
    found = vae_search.query("SELECT sum(9223372036854775807) AS whole FROM trials", store=store)

    assert found["whole"][0] == pytest.approx(30 * 9223372036854775807)


def test_an_empty_answer_keeps_its_columns(store):
    found = vae_search.query("SELECT trial, objective FROM trials WHERE trial < 0", store=store)

    assert (list(found.columns), len(found)) == (["trial", "objective"], 0)


def test_a_report_can_be_written_again_and_again(store, tmp_path):
    """The module that draws it must not take the function's place in the package."""
    for name in ("one.html", "two.html"):
        assert vae_search.report("digits", tmp_path / name, store=store) == tmp_path / name
        assert (tmp_path / name).read_text().startswith("<!DOCTYPE html>")


def test_damaged_files_are_named_in_a_warning(store, tmp_path):
    spoil(Path(store) / SweepPaths("digits").trial(3))

    with pytest.warns(UserWarning, match=SweepPaths("digits").trial(3)) as warned:
        found = vae_search.best("digits", every_state=True, store=store)
    with pytest.warns(UserWarning, match="left out"):
        vae_search.query("SELECT count(*) FROM trials", store=store)

    assert 3 not in set(found["trial"])
    assert warned[0].filename == __file__


def test_the_store_comes_from_the_environment(store, monkeypatch):
    monkeypatch.setenv("VAE_SEARCH_STORE", store)

    assert len(vae_search.query("SELECT * FROM trials")) == 30


def test_mistakes_are_told_as_by_the_commands(store, tmp_path):
    with pytest.raises(InvalidSpec, match="budget"):
        vae_search.run({"name": "x", "data": {"source": "digits"}, "search_space": {"beta": 1.0}}, store=store)
    tree = {"name": "x", "data": {"source": "digits"}, "search_space": {"beta": 1.0}}
    tree |= {"budget": {"trials": 1, "epochs": 1}, "promote": {"model": "x", "limits": {"no_such_gate": 1}}}
    with pytest.raises(InvalidSpec, match="no_such_gate"):
        vae_search.run(tree, store=store)
    with pytest.raises(InvalidSpec, match=r"missing\.yaml"):
        vae_search.run(tmp_path / "missing.yaml", store=store)
    with pytest.raises(NotFound, match="no sweep 'nothing'"):
        vae_search.resume("nothing", store=store)
    with pytest.raises(NotFound, match="no sweep 'nothing'"):
        vae_search.best("nothing", store=store)


def test_a_sweep_in_which_nothing_completed_has_an_empty_best(tmp_path):
    put_sweep(LocalStore(tmp_path / "store"), [pruned(0), failed(1)])

    found = vae_search.best("digits", store=tmp_path / "store")

    assert (len(found), "param_beta" in found.columns) == (0, True)
    assert isinstance(found, pd.DataFrame)


@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.exhaustive
def test_the_example_runs_to_its_end_and_its_sweep_goes_on(tmp_path, monkeypatch):
    """The example as a user runs it; then the same sweep with a larger budget, in this process."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "digits_sweep.py"], cwd=tmp_path, text=True, capture_output=True
    )

    assert done.returncode == 0, done.stderr
    assert "digits-example is finished after 6 trials; its champion is digits-example:1" in done.stdout
    assert "Drew 16 images of 8×8 pixels" in done.stdout
    assert (tmp_path / "digits-example.html").stat().st_size > 1_000_000

    grown = vae_search.resume("digits-example", store=tmp_path / "vae-store", overrides=["budget.trials=7"])

    assert (grown.state, grown.trials) == ("finished", 7)
    assert grown.champion is not None
    assert grown.best["objective"].notna().all()
