"""Private files: secrets and hashes of a service, which nobody but their owner may read."""

import os
import stat
from pathlib import Path

from vae_search.errors import NotFound, VaeSearchError

OTHERS = stat.S_IRWXG | stat.S_IRWXO
MAX_BYTES = 1024 * 1024


def read_private(path: Path) -> bytes:
    """The content of a file that must be readable by this user or root alone.

    Raises:
        NotFound: It cannot be read.
        VaeSearchError: Others may read it, it belongs to somebody else, or it is too large to be what is meant.
    """
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotFound(f"{path}: cannot be read: {error.strerror}.") from error
    if facts.st_mode & OTHERS:
        raise VaeSearchError(
            f"{path}: only its owner may read it, but its mode is {stat.S_IMODE(facts.st_mode):04o}. "
            f"Change it: chmod 600 {path}"
        )
    if facts.st_uid not in (os.geteuid(), 0):
        raise VaeSearchError(f"{path}: must be of this user or of root, not of {facts.st_uid}.")
    if len(content) > MAX_BYTES:
        raise VaeSearchError(f"{path}: has more than {MAX_BYTES} bytes. Restore it from a copy.")
    return content
