"""Find the variational autoencoder that is really the best.

`load_model("fashion@champion").sample(64, seed=0)` draws from a promoted model.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_search.vae.model import VaeModel

__all__ = ["load_model"]


def load_model(address: str, *, store: str | Path | None = None) -> "VaeModel":
    """A promoted model, every byte checked; no code is loaded.

    Args:
        address: `fashion` or `fashion@champion` for the champion, `fashion:3` for a version.
        store: default: `$VAE_SEARCH_STORE`, else `./vae-store`.

    Raises:
        InvalidSpec: `address` is none.
        NotFound: There is no such model or version.
        CorruptStore: Its files are damaged.
    """
    # TensorFlow takes seconds to load: whoever imports this package may not need it.
    from vae_search.champions import load
    from vae_search.cli_options import DEFAULT_STORE
    from vae_search.store.location import open_store

    place = os.environ.get("VAE_SEARCH_STORE", DEFAULT_STORE) if store is None else str(store)
    return load(open_store(place), address).model
