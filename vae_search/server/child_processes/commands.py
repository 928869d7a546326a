"""Commands of this program in processes of their own: they load TensorFlow, and read images; the service does not."""

import sys
from collections.abc import Sequence
from pathlib import Path

from vae_search.errors import ProcessLost, kind_of_exit_code
from vae_search.services.children.programs import ended


def printed(arguments: Sequence[str], *, what: str, folder: Path, timeout_s: float) -> str:
    """Run a command to its end; what it prints.

    Args:
        what: name of it, for messages.
        folder: that it runs in.

    Raises:
        VaeSearchError: What the command ended with.
        ProcessLost: It took too long, or ended without a word.
    """
    done = ended([sys.executable, "-m", "vae_search", *arguments], folder=folder, timeout_s=timeout_s, what=what)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.rpartition("error: ")[2].strip() or f"{what} ended without a word."
    raise kind_of_exit_code(done.returncode, otherwise=ProcessLost)(said)
