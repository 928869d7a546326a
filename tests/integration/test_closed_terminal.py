"""A terminal that is closed while a sweep trains in it: the sweep stops as after Ctrl-C."""

import fcntl
import os
import pty
import subprocess
import sys
import termios

import pytest

from vae_search.store.backends.uri import open_store
from vae_search.store.leases.records import has_ended
from vae_search.store.ledger import checkpoints
from vae_search.store.paths import trial_key

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow, pytest.mark.timeout(200)]

SPEC = """
name: hung-up
data: {source: digits}
search_space: {latent_dim: 4, depth: 1, width: 16, batch_size: 64}
budget: {trials: 1, epochs: 100000}
confirm: {finalists: 0}
pruning: off
checkpoint_s: 10000
"""


def test_its_epochs_are_saved_its_lease_ends_and_nothing_of_pythons_is_said(tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC)
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    command = [sys.executable, "-m", "vae_search", "run", "spec.yaml", "--store", "store", "--inline"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=take_terminal,
    ) as driver:
        os.close(theirs)
        shown = b""
        while b"1 running" not in shown:
            shown = shown[-1000:] + os.read(ours, 4096)

        os.close(ours)

        _, errors = driver.communicate()

    assert driver.returncode == 130
    assert b"vae-search resume hung-up" in errors
    assert b"Traceback" not in errors
    store = open_store(str(tmp_path / "store"))
    assert has_ended(store, "hung-up", 1)
    assert checkpoints.newest_intact(store, "hung-up", trial_key(0)) is not None
