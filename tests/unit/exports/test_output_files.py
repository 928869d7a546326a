"""Where exports may go: never over something, and never half."""

import errno
import sqlite3

import pytest

from vae_search.errors import Conflict, InvalidSpec, StoreUnavailable
from vae_search.exports.output_files import new_file, new_folder
from vae_search.services import exporting
from vae_search.store.sweeps import sweep_record


def targets(**places: object) -> exporting.Targets:
    return exporting.Targets(**({"tensorboard": None, "optuna": None, "csv": None} | places))


@pytest.mark.parametrize("option", ["tensorboard", "optuna", "csv", "csv file", "epochs"])
def test_what_exists_stays_as_it_is_and_nothing_else_is_written(swept, tmp_path, option):
    taken = tmp_path / {"csv file": "t.csv", "epochs": "t-epochs.csv"}.get(option, "taken")
    taken.write_text("precious")
    places = {
        "tensorboard": {"tensorboard": taken, "csv": tmp_path / "tables"},
        "optuna": {"optuna": f"sqlite:///{taken}", "csv": tmp_path / "tables"},
        "csv": {"csv": taken, "tensorboard": tmp_path / "runs"},
        "csv file": {"csv": taken, "tensorboard": tmp_path / "runs"},
        "epochs": {"csv": tmp_path / "t.csv", "tensorboard": tmp_path / "runs"},
    }[option]
    before = sorted(tmp_path.iterdir())

    with pytest.raises(Conflict, match="exists already"):
        exporting.export(swept, "digits", targets(**places))

    assert taken.read_text() == "precious"
    assert sorted(tmp_path.iterdir()) == before


def write_slowly(new, place):
    with new(place, option="--csv") as partial:
        (partial / "runs" if partial.is_dir() else partial).write_text("ours")
        place.write_text("theirs")


def test_what_comes_while_it_is_written_stays_as_well(tmp_path):
    for new in (new_file, new_folder):
        place = tmp_path / new.__name__
        with pytest.raises(Conflict):
            write_slowly(new, place)
        assert place.read_text() == "theirs"

    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    for new in (new_file, new_folder):
        with pytest.raises(StoreUnavailable, match="No space left"), new(tmp_path / "new", option="--csv"):
            raise OSError(errno.ENOSPC, "No space left on device")

    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told_at_once(swept, tmp_path):
    with pytest.raises(InvalidSpec, match="must be in a folder"):
        exporting.export(swept, "digits", targets(csv=tmp_path / "missing" / "tables"))


def test_no_target_and_other_databases_are_refused_without_repeating_a_password():
    with pytest.raises(InvalidSpec, match="needs --tensorboard"):
        targets()
    with pytest.raises(InvalidSpec, match="but got postgresql") as caught:
        targets(optuna="postgresql://user:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


def test_the_study_is_one_file(exported):
    with sqlite3.connect(exported / "study.db") as database:
        assert database.execute("SELECT count(*) FROM trials").fetchone() == (30,)
    database.close()
    assert sorted(path.name for path in exported.iterdir() if path.name.startswith("study")) == ["study.db"]
    assert not [path for path in exported.iterdir() if path.name.startswith(".")]


def test_an_export_changes_nothing_in_the_store(swept, tmp_path):
    before = {path: swept.read(path) for path in swept.list("sweeps")}

    exporting.export(swept, "digits", targets(csv=tmp_path / "t.csv", optuna=f"sqlite:///{tmp_path}/s.db"))

    assert {path: swept.read(path) for path in swept.list("sweeps")} == before
    assert sweep_record.read(swept, "digits").spec.name == "digits"
