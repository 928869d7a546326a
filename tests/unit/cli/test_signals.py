"""Commands that are ended by a signal, or whose reader goes, say nothing of Python's."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.stores import filled_store
from vae_search.store.leases.lease import acquire
from vae_search.store.sweeps import sweep_record


def start(folder: Path, *words: str, **options: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "vae_search", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


@pytest.fixture
def running(tmp_path):
    """A store with a sweep that a driver holds: `watch` of it lasts."""
    store = filled_store(tmp_path / "store")
    lease = acquire(store, "digits", begin=lambda: {"spec": sweep_record.read(store, "digits").spec.to_json()})
    yield tmp_path
    lease.release()


@contextmanager
def watching(folder: Path, **options: object) -> "Iterator[tuple[subprocess.Popen[bytes], int]]":
    """`watch` on a terminal that has shown something; and the terminal's other end."""
    ours, theirs = pty.openpty()
    with start(folder, "watch", "digits", "--store", "store", stdin=theirs, stdout=theirs, **options) as watcher:
        os.close(theirs)
        os.read(ours, 10)
        try:
            yield watcher, ours
        finally:
            watcher.kill()
            with suppress(OSError):
                os.close(ours)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_each_signal_ends_a_command_as_ctrl_c_does(running, number):
    with watching(running) as (watcher, _):
        watcher.send_signal(number)
        _, errors = watcher.communicate(timeout=60)

    assert (watcher.returncode, errors) == (130, b"")


def test_a_hangup_that_is_ignored_stays_ignored(running):
    with watching(running, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as (watcher, _):
        watcher.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            watcher.wait(timeout=0.5)


def test_a_terminal_that_is_closed_is_met_without_a_traceback(running):
    with watching(running) as (watcher, terminal):
        os.close(terminal)
        watcher.send_signal(signal.SIGHUP)  # as the system does where it is the session's own terminal
        _, errors = watcher.communicate(timeout=60)

    assert watcher.returncode in (1, 130)  # it may meet the terminal before the signal
    assert b"Traceback" not in errors


@pytest.mark.parametrize("words", [("best", "digits", "--all"), ("status",)])
def test_a_reader_that_goes_is_met_without_a_traceback(running, words):
    ours, theirs = os.pipe()
    os.close(ours)
    with start(running, *words, "--store", "store", stdout=theirs) as command:
        os.close(theirs)
        _, errors = command.communicate(timeout=60)

    assert b"Traceback" not in errors
    assert b"Exception ignored" not in errors
