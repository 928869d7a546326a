"""The one primitive under everything that is kept: a file that exactly one writer creates, durable on return."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from vae_search.errors import StoreUnavailable
from vae_search.store import paths as store_paths
from vae_search.store.backends.json_records import to_json_bytes

STORE_VERSION = 1
VERSION_RECORD = to_json_bytes({"store_version": STORE_VERSION})
"""What a store's first writer puts into `store_paths.STORE`."""


def checked_path(path: str) -> str:
    """`path`, if it can be one of a store.

    Raises:
        ValueError: It would lead out of the store, or to something hidden.
    """
    if "//" in f"/{path}" or "/." in f"/{path}":
        raise ValueError(f"{path}: must be a relative path without parts that are empty or start with '.'")
    return path


def visible_paths(paths: Iterable[str]) -> list[str]:
    """Those of `paths` that are a store's, sorted; a hidden one is a writer's leftover or somebody else's."""
    return sorted(path for path in paths if "/." not in f"/{path}")


class AlreadyThere(Exception):
    """The file exists; what is in it stays as it is."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: is already there")
        self.path = path


class Store(Protocol):
    """A folder or bucket. Paths are relative, with "/" between the parts; no part starts with ".".

    All methods may be called from several threads, processes and machines at once.
    """

    location: str

    def create(self, path: str, content: bytes) -> None:
        """Write a new file; of all writers of one path exactly one succeeds. On return it survives a power cut.

        Raises:
            AlreadyThere: Somebody was first.
            StoreUnavailable: The store is full, read-only, broken or out of reach; the file is not there. Only where no
                answer came at all (object stores), it may be there with just this content: the same call may be made
                again.
        """

    def replace(self, path: str, content: bytes) -> None:
        """Write a file, whatever was there; readers see the old or the new one. For derived files and heartbeats only.

        Raises:
            StoreUnavailable: The store is full, read-only or broken; the old file is still there.
        """

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            NotFound: There is none.
            StoreUnavailable: It is there, but cannot be read.
        """

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """The contents of files, in the order of `paths`, None for a missing one; far stores fetch several at once.

        Raises:
            StoreUnavailable: One is there, but cannot be read.
        """

    def list(self, prefix: str) -> list[str]:
        """The paths of all files in a folder and below, sorted; none if there is no such folder."""

    def folders(self, prefix: str) -> Sequence[str]:
        """The names of the folders right in a folder, sorted, hidden ones left out; none if there is no such folder."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Paths that `list` lists, in its order, with the size of each file in bytes."""

    def remove(self, path: str) -> None:
        """Remove a file; a missing one is fine."""

    def remove_tree(self, prefix: str) -> None:
        """Remove a folder and what it held when the call began; a missing one is fine."""

    def local_path(self, path: str) -> Path | None:
        """Path on this machine for a reader that needs a file system; None if the store is on none."""


def prove_exclusive(store: Store) -> None:
    """Check that a second create of the same file fails, as everything here relies on it.

    Raises:
        StoreUnavailable: It does not, or nothing can be written.
    """
    path = store_paths.probe(secrets.token_hex(8))
    first, second = (to_json_bytes({"nonce": secrets.token_hex(8)}) for _ in range(2))
    store.create(path, first)
    try:
        store.create(path, second)
    except AlreadyThere:
        kept = store.read(path) == first
    else:
        kept = False
    finally:
        store.remove(path)
    if not kept:
        raise StoreUnavailable(
            f"{store.location}: a file must be created by one writer only, but a second one replaced it. "
            "Put the store on another file system."
        )
