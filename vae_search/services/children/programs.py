"""Programs of this package as child processes: for what loads TensorFlow or takes gigabytes of a service."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vae_search.core.machine import PACKAGE_PARENT
from vae_search.errors import ProcessLost


def environment() -> Mapping[str, str]:
    """The environment of a child that runs this very package, wherever it begins."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)}


def ended(command: Sequence[str], *, folder: Path, timeout_s: float, what: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, in whatever way it ends.

    Args:
        folder: that it begins in.
        what: it does, in messages.

    Raises:
        ProcessLost: It took too long, and was stopped.
    """
    try:
        return subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessLost(f"{what} did not end within {timeout_s:g} s and was stopped.") from error
