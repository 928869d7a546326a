"""Settings of the environment: where results and downloads are kept when nobody says otherwise."""

import os
from pathlib import Path

STORE_VARIABLE = "VAE_SEARCH_STORE"
DEFAULT_STORE = "vae-store"
QUERY_TIMEOUT_S = 60.0  # of the user's SQL, not of reading the store


def cache_folder() -> Path:
    """Folder of downloaded data sets: `$XDG_CACHE_HOME/vae-search`, else `~/.cache/vae-search`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vae-search"


def default_store() -> str:
    """Location of the store that is used when none is given: `$VAE_SEARCH_STORE`, else `vae-store` here."""
    return os.environ.get(STORE_VARIABLE) or DEFAULT_STORE
