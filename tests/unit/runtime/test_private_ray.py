"""What workers of a private Ray import, and what becomes of processes whose driver has gone."""

import subprocess
import sys
from pathlib import Path

import pytest

from vae_search.runtime import orphan_watch
from vae_search.runtime.private_ray import search_path

pytestmark = pytest.mark.needs_ray

PACKAGE = Path("/opt/package")


@pytest.mark.parametrize(
    ("path", "current", "kept"),
    [
        (["", "/lib", "/opt/package"], "/home/me", ["/lib", "/opt/package"]),  # a notebook's
        (["/home/me", "/lib", "/opt/package"], "/home/me", ["/lib", "/opt/package"]),
        (["/opt/package", "/lib"], "/opt/package", ["/opt/package", "/lib"]),  # a checkout, with `python -m`
        (["", "/lib"], "/opt/package", ["/lib", "/opt/package"]),
        (["/scripts", "/lib", "/opt/package"], "/home/me", ["/scripts", "/lib", "/opt/package"]),
    ],
)
def test_workers_search_where_the_driver_does_but_not_in_its_current_folder(path, current, kept):
    assert search_path(path, PACKAGE, Path(current)) == kept


def test_when_the_driver_is_gone_its_process_groups_are_ended_and_its_folder_is_removed(tmp_path):
    folder = tmp_path / "vae-of-a-driver"
    (folder / "ray").mkdir(parents=True)
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    command = [sys.executable, "-I", "-S", orphan_watch.__file__, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True) as watch:
        watch.stdin.write(f"{2**22 + 1}\n{child.pid}\n")  # the first of them has ended already

    assert watch.returncode == 0
    assert child.wait(timeout=60) == -9
    assert not folder.exists()


def test_the_watch_needs_no_library_of_ours(tmp_path):
    code = f"import runpy, sys; runpy.run_path({orphan_watch.__file__!r}); print(*sorted(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "vae_search" not in done.stdout
