"""Settings: of the environment, where results and downloads are kept when nobody says otherwise; and private files.

A private file holds secrets or hashes of a service, which nobody but their owner may read.
"""

import os
import stat
from pathlib import Path

from vae_search.errors import NotFound, VaeSearchError

STORE_VARIABLE = "VAE_SEARCH_STORE"
DEFAULT_STORE = "vae-store"
SERVER_VARIABLE = "VAE_SEARCH_SERVER"
TOKEN_VARIABLE = "VAE_SEARCH_TOKEN"  # noqa: S105 - its name
TOKEN_FILE_VARIABLE = "VAE_SEARCH_TOKEN_FILE"  # noqa: S105 - its name
PLAIN_HTTP_VARIABLE = "VAE_SEARCH_ALLOW_PLAIN_HTTP"
QUERY_TIMEOUT_S = 60.0  # of the user's SQL, not of reading the store
SERVED_QUERY_TIMEOUT_S = 30.0  # the most that a service allows: others wait for their turn
OTHERS = stat.S_IRWXG | stat.S_IRWXO
PRIVATE_BYTES = 1024 * 1024  # at most, of a private file


def cache_folder() -> Path:
    """Folder of downloaded data sets: `$XDG_CACHE_HOME/vae-search`, else `~/.cache/vae-search`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vae-search"


def default_store() -> str:
    """Location of the store that is used when none is given: `$VAE_SEARCH_STORE`, else `vae-store` here."""
    return os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


def read_private(path: Path) -> bytes:
    """The content of a file that must be readable by this user or root alone.

    Raises:
        NotFound: It cannot be read.
        VaeSearchError: Others may read it, it belongs to somebody else, or it is too large to be what is meant.
    """
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read(PRIVATE_BYTES + 1)
    except OSError as error:
        raise NotFound(f"{path}: cannot be read: {error.strerror}.") from error
    if facts.st_mode & OTHERS:
        raise VaeSearchError(
            f"{path}: only its owner may read it, but its mode is {stat.S_IMODE(facts.st_mode):04o}. "
            f"Change it: chmod 600 {path}"
        )
    if facts.st_uid not in (os.geteuid(), 0):
        raise VaeSearchError(f"{path}: must be of this user or of root, not of {facts.st_uid}.")
    if len(content) > PRIVATE_BYTES:
        raise VaeSearchError(f"{path}: damaged: it has more than {PRIVATE_BYTES} bytes.\nRestore it from a copy.")
    return content
