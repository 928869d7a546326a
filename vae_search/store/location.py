"""From what a user writes after `--store` to a store."""

from pathlib import Path

from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.store import layout
from vae_search.store.commit import STORE_VERSION, Store
from vae_search.store.json_files import from_json_bytes
from vae_search.store.local_store import LocalStore


def open_store(location: str) -> Store:
    """The store at `location`; nothing is written before the first `create` or `replace`.

    Raises:
        StoreUnavailable: The place cannot hold a store, or a newer version of this program made the one that is there.
        CorruptStore: The file with the store's version is damaged.
    """
    scheme, separator, rest = location.partition("://")
    if separator and (scheme != "file" or not rest):
        raise StoreUnavailable(
            f"{location}: the store must be a folder (or file:///…), but got {scheme}://{rest[:20]}."
        )
    if not location:
        raise StoreUnavailable("--store: must name a folder, but is empty.")
    store = _local_store(rest or location)
    _check_version(store)
    return store


def _local_store(folder: str) -> LocalStore:
    try:
        root = Path(folder).expanduser()
        usable = root.is_dir() or not root.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreUnavailable(f"{folder[:200]}: cannot be a store: {error}"[:400]) from error
    if not usable:
        raise StoreUnavailable(f"{root}: the store must be a folder, but this is a file. Give another --store.")
    return LocalStore(root)


def _check_version(store: Store) -> None:
    where = f"{store.location}/{layout.STORE}"
    try:
        version = from_json_bytes(store.read(layout.STORE), where=where).get("store_version")
    except NotFound:
        return
    if not isinstance(version, int):
        raise CorruptStore(f"{where}: must say the store's version, but does not. Restore it from a copy.")
    if version > STORE_VERSION:
        raise StoreUnavailable(
            f"{store.location}: this program reads stores up to version {STORE_VERSION}, but this one has version "
            f"{version}. Install a newer vae-search."
        )
