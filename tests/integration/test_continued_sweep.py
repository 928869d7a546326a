"""The best seed of a sweep on Ray goes on with the cores of all trials; a driver that is killed in it loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.killed_sweeps import environment, results
from vae_search.services.sweep_status import status
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.maintenance.integrity import inspect

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(600)]

SPEC = """
name: goes-on
data: {source: digits}
search_space: {latent_dim: {type: int, low: 4, high: 8}, depth: 1, width: 64, batch_size: 64}
budget: {trials: 2, epochs: 3, minutes: 1}
pruning: off
lr_schedule: wsd
confirm: {finalists: 1, seeds: 3, epochs: auto}
promote: {model: digits, limits: {seed_spread: 100}}
checkpoint_s: 2
"""
WAITS_S = 240.0


def start(store: Path, *arguments: str, wait: bool = True) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vae_search", *arguments, "--store", str(store), "--json"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    if wait:
        output, errors = process.communicate(timeout=WAITS_S)
        assert process.returncode == 0, errors
        assert json.loads(output)["promotion"] is not None
    return process


def test_a_driver_that_is_killed_while_the_best_seed_goes_on_leaves_the_same_bits(tmp_path):
    spec, store, copy = tmp_path / "spec.yaml", tmp_path / "store", tmp_path / "copy"
    spec.write_text(SPEC)
    driver, began_s = start(store, "run", str(spec), wait=False), time.monotonic()
    while not list(store.glob("sweeps/goes-on/control/confirm-*-4.json")):  # its whole length is decided
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() - began_s < WAITS_S
        time.sleep(0.1)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    shutil.copytree(store, copy)

    for each in (store, copy):
        start(each, "resume", "goes-on")

    rows = [ConfirmRuns(LocalStore(each), "goes-on").read() for each in (store, copy)]
    (went_on,), found = rows[0].continued, status(LocalStore(store), "goes-on")
    assert results(rows[0].continued) == results(rows[1].continued)
    assert went_on.artifact_sha256 is not None
    assert (
        went_on.threads
        == json.loads(next(store.glob("sweeps/goes-on/control/confirm-*-1.json")).read_text())["threads"]
    )
    assert len(rows[0].rows) == 3
    assert went_on.epochs > rows[0].rows[0].epochs
    assert found.finished
    assert inspect(LocalStore(store), "goes-on").findings == ()
    print(f"{found.driver_s:.1f} of 60 s, {went_on.threads} threads")
