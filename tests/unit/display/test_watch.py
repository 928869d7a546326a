"""`watch` while a driver holds the sweep: on a terminal, and left with Ctrl-C."""

import os
import pty
import signal
import subprocess
import sys

from tests.support.paths import ROOT
from tests.support.stores import filled_store
from vae_search.store.leases.lease import acquire
from vae_search.store.sweeps import sweep_record


def test_a_running_sweep_is_watched_on_a_terminal_until_ctrl_c_and_left_alone(tmp_path):
    store = filled_store(tmp_path / "store")
    lease = acquire(store, "digits", begin=lambda: {"spec": sweep_record.read(store, "digits").spec.to_json()})
    ours, theirs = pty.openpty()
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "vae_search", "watch", "digits", "--store", str(tmp_path / "store")],
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if this is a background job
        )
        shown = b""
        while b"8/8 trials" not in shown:
            shown += os.read(ours, 4096)
        watcher.send_signal(signal.SIGINT)
        _, errors = watcher.communicate(timeout=60)

        assert watcher.returncode == 130
        assert errors == b""
        assert not lease.stop_requested()
    finally:
        lease.release()
        os.close(ours)
        os.close(theirs)
