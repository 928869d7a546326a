"""Ctrl-C while a query runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ENDLESS = "SELECT sum(a.range) FROM range(1e12::BIGINT) a, range(1e12::BIGINT)"


@pytest.mark.parametrize("to_group", [True, False])
def test_an_interrupted_query_ends_with_130_and_leaves_nothing(tmp_path: Path, to_group: bool) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "vae_search", "query", ENDLESS]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True
    ) as asking:
        deadline = time.monotonic() + 60
        while not [*scratch.glob("vae-query-*/run/errors")]:  # the process of the SQL is being started
            assert time.monotonic() < deadline
            time.sleep(0.01)

        (os.killpg if to_group else os.kill)(asking.pid, signal.SIGINT)
        _, errors = asking.communicate(timeout=20)

    assert asking.returncode == 130
    assert "Traceback" not in errors
    assert [*scratch.iterdir()] == []
