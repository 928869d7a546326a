"""A sweep on a real Ray that is given commands by the command line while it runs."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from vae_search.core.trial_state import Reason
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.present_spec import trials_in_flight
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

# Trials that end by no other way than by a command.
SPEC = """
name: live
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 30}, depth: 1, width: 16, batch_size: 64}
budget: {trials: 2, epochs: 90000}
pruning: off
confirm: {finalists: 0}
resources: {concurrency: 1}
"""


def wait_until(holds: Callable[[], bool], driver: "subprocess.Popen[str]") -> None:
    while not holds():
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.2)


def test_a_sweep_that_runs_takes_a_config_more_trials_and_the_end_of_trials(tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text(SPEC)
    store = LocalStore(tmp_path / "vae-store")

    def told(*arguments: object) -> str:
        done = vae_search(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    command = [sys.executable, "-m", "vae_search", "run", "live.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        wait_until(lambda: trials_in_flight(store, "live") == {0}, driver)
        told("enqueue", "live", "latent_dim=7")
        said = told("change", "live", "--set", "budget.trials=3", "--set", "resources.concurrency=2")
        told("stop", "live/0")
        wait_until(lambda: trials_in_flight(store, "live") >= {1, 2}, driver)  # two at once, beyond the first budget
        for trial in (1, 2):
            told("stop", f"live/{trial}")
        errors = driver.communicate()[1]

    found = Ledger(store, "live").trials()
    assert "Its driver carries that out" in said
    assert driver.returncode == 6, errors  # none of its trials completed
    assert [(row.trial, row.reason, row.command) for row in found] == [
        (0, Reason.STOPPED, None),
        (1, Reason.STOPPED, 1),
        (2, Reason.STOPPED, None),
    ]
    assert found[1].params["latent_dim"] == 7
    assert all(row.epochs > 0 for row in found)
