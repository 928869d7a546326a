"""Settings of the environment: where results and downloads are kept when nobody says otherwise."""

import os
from pathlib import Path

STORE_VARIABLE = "VAE_SEARCH_STORE"
DEFAULT_STORE = "vae-store"
SERVER_VARIABLE = "VAE_SEARCH_SERVER"
TOKEN_VARIABLE = "VAE_SEARCH_TOKEN"  # noqa: S105 - its name
TOKEN_FILE_VARIABLE = "VAE_SEARCH_TOKEN_FILE"  # noqa: S105 - its name
PLAIN_HTTP_VARIABLE = "VAE_SEARCH_ALLOW_PLAIN_HTTP"
QUERY_TIMEOUT_S = 60.0  # of the user's SQL, not of reading the store
SERVED_QUERY_TIMEOUT_S = 30.0  # the most that a service allows: others wait for their turn


def cache_folder() -> Path:
    """Folder of downloaded data sets: `$XDG_CACHE_HOME/vae-search`, else `~/.cache/vae-search`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vae-search"


def default_store() -> str:
    """Location of the store that is used when none is given: `$VAE_SEARCH_STORE`, else `vae-store` here."""
    return os.environ.get(STORE_VARIABLE) or DEFAULT_STORE
