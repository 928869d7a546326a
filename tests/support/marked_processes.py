"""Processes that descend from a test's own, found by a mark in their environment, and their end."""

import os
import signal
import time
from pathlib import Path

TOKEN = "VAE_SEARCH_CHAOS_TOKEN"  # noqa: S105 - marks our processes, and is no secret
PATIENCE_S = 300


def marked(folder: Path) -> dict[str, str]:
    """Environment that marks a process, and with it all that it starts, as one of a test's folder."""
    return {TOKEN: str(folder)}


def marked_processes(folder: Path) -> dict[int, str]:
    """Title by id of all processes with the mark of this folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{TOKEN}={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has just ended, or is somebody else's
    return found


def end_marked(folder: Path) -> None:
    """Kill what is left of them, and wait until it is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while left := marked_processes(folder):
        assert time.monotonic() < deadline, left
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
