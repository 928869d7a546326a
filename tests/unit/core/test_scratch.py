"""Scratch folders: gone in the end, and gone with the next start where their owner was killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vae_search.core import scratch
from vae_search.core.scratch import LOGS, OWNER, folder_for_sockets, owned_folder, remove_abandoned, scratch_folder
from vae_search.errors import ClusterTrouble

HOLD = """
import sys
from pathlib import Path
from vae_search.core.scratch import owned_folder
with owned_folder(sys.argv[2], parent=Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def start_owner(parent: Path, purpose: str = "") -> tuple["subprocess.Popen[str]", Path]:
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent), purpose],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return owner, Path(owner.stdout.readline().strip())


def end(owner: "subprocess.Popen[str]") -> None:
    owner.kill()
    owner.communicate()


def test_a_folder_goes_with_its_block_whatever_ends_it(tmp_path):
    def fail() -> None:
        with scratch_folder("a-", parent=tmp_path) as folder:
            (folder / "inside").mkdir()
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_when_the_next_one_is_made_and_that_of_a_living_one_stays(tmp_path):
    killed, left = start_owner(tmp_path)
    living, used = start_owner(tmp_path)
    try:
        end(killed)
        with scratch_folder(parent=tmp_path) as own:
            assert sorted(tmp_path.iterdir()) == sorted([used, own])
        assert not left.exists()
    finally:
        end(living)


def test_log_files_of_a_killed_driver_stay_for_a_week(tmp_path):
    killed, left = start_owner(tmp_path, LOGS)
    end(killed)
    now_s = time.time()

    early = remove_abandoned(tmp_path, now_s=now_s + 6 * 86400)
    late = remove_abandoned(tmp_path, now_s=now_s + 8 * 86400)

    assert (early, late) == ([], [left])


def test_what_is_not_provably_ours_stays(tmp_path):
    (tmp_path / "vae-without-owner").mkdir()
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / OWNER).touch()
    (tmp_path / "vae-link").symlink_to(target)
    (tmp_path / "vae-file").touch()

    assert remove_abandoned(tmp_path, now_s=time.time()) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_the_lock_goes_with_the_owner_and_not_with_its_children(tmp_path):
    with owned_folder("", parent=tmp_path) as folder:
        child = subprocess.Popen(["sleep", "60"])
    try:
        assert remove_abandoned(tmp_path, now_s=time.time()) == [folder]
    finally:
        child.kill()
        child.wait()


def test_a_long_temporary_directory_is_left_for_a_short_one(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    assert folder_for_sockets() == Path("/tmp")  # noqa: S108


def test_the_limit_is_said_where_no_short_one_can_be_used(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * 60)
    monkeypatch.setattr(os, "access", lambda folder, mode: False)

    with pytest.raises(ClusterTrouble, match=r"at most \d+ bytes.*\nSet TMPDIR"):
        folder_for_sockets()


def test_rays_longest_socket_fits_below_the_longest_folder():
    folder = "/" + "t" * (scratch.SOCKET_PATH_BYTES - scratch.RAY_PATH_BYTES - scratch.NAME_BYTES - 1)
    session = "session_2026-01-01_00-00-00_000000_4194304"

    path = f"{folder}/vae-12345678/ray/{session}/sockets/plasma_store"

    assert len(path) == scratch.SOCKET_PATH_BYTES
