"""The command line in this process, for tests of what it says; a process of its own costs 0.7 s."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

STARTS_HEAVY = {"run", "resume", "sample", "submit", "drive", "dashboard", "watch"}
"""Commands that import Ray or TensorFlow, set what belongs to a whole process, or wait: these get a process."""


def vae_search(*arguments: object, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """What `vae-search ARGUMENTS` says in `folder`, and its exit code."""
    words = [str(argument) for argument in arguments]
    if words and words[0] in STARTS_HEAVY:
        return in_new_process(*words, folder=folder, **environment)
    return in_this_process(*words, folder=folder, **environment)


def in_this_process(*words: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """The same for any command that is refused, or has nothing to wait for."""
    from vae_search.cli.app import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(folder),
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", ["vae-search", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    said = [stream.buffer.getvalue() for stream in (out, err)]
    return subprocess.CompletedProcess(["vae-search", *words], code, *said)


def interrupted_run(*arguments: object, folder: Path) -> tuple[int, str]:
    """`vae-search run ARGUMENTS`, interrupted as by Ctrl-C after its first line on a trial: exit code and errors."""
    command = [sys.executable, "-m", "vae_search", "run", *map(str, arguments)]
    with subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        for line in driver.stdout:
            if line.startswith("trial"):
                break
        driver.send_signal(signal.SIGINT)
        _, errors = driver.communicate(timeout=60)
    return driver.returncode, errors


def in_new_process(*arguments: object, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """The same in a process of its own."""
    command = [sys.executable, "-m", "vae_search", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True)
