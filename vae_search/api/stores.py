"""Stores as users of the Python API name them, and warnings of what is damaged there."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.text import first_few

if TYPE_CHECKING:
    from vae_search.store.backends.base import Store


def opened(store: str | Path | None) -> "Store":
    """Open a store; None: the default one."""
    from vae_search.core.settings import default_store
    from vae_search.store.backends.uri import open_store

    return open_store(default_store() if store is None else str(store))


def warn_of(damaged: Sequence[str]) -> None:
    """Warn the caller of the API's function of files that were left out."""
    if damaged:
        text = f"{first_few(damaged)}: damaged, and left out. Restore the files from a copy."
        warnings.warn(text, UserWarning, stacklevel=3)
