"""Commands of this program in processes of their own: they load TensorFlow, and read images; the service does not."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vae_search.core.machine import PACKAGE_PARENT
from vae_search.errors import ProcessLost, VaeSearchError, kinds_of_exit_code


def printed(arguments: Sequence[str], *, what: str, folder: Path, timeout_s: float) -> str:
    """Run a command to its end; what it prints.

    Args:
        what: name of it, for messages.
        folder: that it runs in.

    Raises:
        VaeSearchError: What the command ended with.
        ProcessLost: It took too long, or ended without a word.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vae_search", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessLost(f"{what} did not end within {timeout_s:g} s and was stopped.") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.rpartition("error: ")[2].strip() or f"{what} ended without a word."
    kind = next(iter(kinds_of_exit_code(done.returncode)), ProcessLost)
    if kind is VaeSearchError:  # a mistake in the program, of which the command tells no more than its end
        kind = ProcessLost
    raise kind(said)
