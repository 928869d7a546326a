"""Odd files, folders and names in a store never take a command away from the rest of it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from tests.support.stores import filled_store
from vae_search.store.leases.lease import acquire

SWEEP = "sweeps/digits"
Oddity = Callable[[Path], object]


def file(path: str, content: bytes = b"junk") -> Oddity:
    def put(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)

    return put


def folder(path: str) -> Oddity:
    def put(root: Path) -> None:
        if (root / path).is_file():
            (root / path).unlink()
        file(f"{path}/inside")(root)

    return put


def pipe(path: str) -> Oddity:
    return lambda root: os.mkfifo(root / path)


def link(path: str, target: str) -> Oddity:
    return lambda root: (root / path).symlink_to(target)


ODDITIES = {
    "a copy of a sweep": lambda root: shutil.copytree(root / SWEEP, root / "sweeps/copied"),
    "a text among the rows": file(f"{SWEEP}/trials/foo.txt"),
    "junk among the rows": file(f"{SWEEP}/trials/foo.parquet"),
    "a folder in a row's place": folder(f"{SWEEP}/trials/000009.parquet"),
    "an empty row": file(f"{SWEEP}/trials/000010.parquet", b""),
    "a row with a huge number": file(f"{SWEEP}/trials/{'9' * 30}.parquet"),
    "a row with foreign digits": file(f"{SWEEP}/trials/٣٣٣٣٣٣.parquet"),
    "a row with a line break": file(f"{SWEEP}/trials/a\nb.parquet"),
    "a row that is no UTF-8": file(os.fsdecode(f"{SWEEP}/trials/".encode() + b"\xff.parquet")),
    "a row that is a pipe": pipe(f"{SWEEP}/trials/000011.parquet"),
    "a link to nowhere": link(f"{SWEEP}/trials/000012.parquet", "nowhere"),
    "a link to itself": link(f"{SWEEP}/trials/000013.parquet", "000013.parquet"),
    "what a file manager leaves": file(f"{SWEEP}/trials/.DS_Store"),
    "the same beside the sweeps": file("sweeps/.DS_Store"),
    "junk among the finalists": file(f"{SWEEP}/finalists/x.parquet"),
    "junk among the leases": file(f"{SWEEP}/leases/000001 (copy).json"),
    "a folder for a heartbeat": folder(f"{SWEEP}/heartbeat.json"),
    "a folder for a curve": folder(f"{SWEEP}/epochs/000001.parquet"),
    "an assignment that is junk": file(f"{SWEEP}/running/odd/suggestion.json"),
    "a copy that is junk": file(f"{SWEEP}/compact/trials-000005.parquet"),
    "odd weights": file(f"{SWEEP}/artifacts/x/y"),
    "a file beside the sweeps": file("sweeps/stray.txt"),
    "rows without a sweep": file("sweeps/other/trials/000000.parquet"),
    "a record that is empty": file("sweeps/empty/resolved.json", b""),
    "a record that is deep": file("sweeps/deep/resolved.json", b"[" * 100_000),
    "an odd model": file("models/Odd (copy)/log/000001.json"),
    "a file beside the models": file("models/foo.txt"),
    "a model whose log is junk": file("models/other/log/000001.json"),
    "odd images": file("images/x/y"),
}


@pytest.fixture
def root(tmp_path: Path, without_fsync: None) -> Path:
    store = filled_store(tmp_path / "vae-store")
    acquire(store, "digits").release()
    return tmp_path / "vae-store"


def check_the_rest(root: Path) -> None:
    """Let each command answer about the sweep that is intact."""

    def said(*command: str) -> object:
        done = vae_search(*command, folder=root.parent)
        errors = done.stderr.decode()
        assert done.returncode in (0, 3), errors  # 3: something damaged is named
        assert sum(not line.startswith("warning: ") for line in errors.splitlines()) <= 3
        return json.loads(done.stdout)

    statuses = said("status", "--json")
    assert [(each["sweep"], each["finished"]) for each in statuses] == [("digits", 8)]
    assert [row["trial"] for row in said("best", "digits", "--json")] == [2, 1, 0, 3, 4]
    assert said("query", "SELECT count(*) AS n FROM trials", "--json") == [{"n": 8}]
    (digits,) = [each for each in said("verify", "--json") if each.get("before", {}).get("sweep") == "digits"]
    assert (digits["before"]["rows"], digits["before"]["finalists"]) == (8, 6)
    said("gc", "--dry-run", "--json")
    assert said("models", "--json") == []


@pytest.mark.slow
def test_oddities_take_no_command_away_from_the_rest(root: Path) -> None:
    for oddity in ODDITIES.values():
        oddity(root)

    check_the_rest(root)


@pytest.mark.exhaustive
@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
def test_no_oddity_takes_a_command_away_from_the_rest(root: Path, oddity: Oddity) -> None:
    oddity(root)

    check_the_rest(root)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["junk among the rows", "a row that is a pipe", "junk among the finalists"])
def test_a_report_is_written_beside_oddities(root: Path, name: str) -> None:
    ODDITIES[name](root)

    done = vae_search("report", "digits", "-o", "report.html", folder=root.parent)

    assert done.returncode == 3
    assert (root.parent / "report.html").stat().st_size > 100_000


def test_verify_names_a_folder_that_is_no_models(root: Path) -> None:
    ODDITIES["an odd model"](root)

    done = vae_search("verify", folder=root.parent)

    assert "leftover   models/Odd (copy): is no model's folder: a name must be 1 to 63 of a-z" in done.stdout.decode()
