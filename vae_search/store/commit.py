"""The one primitive under everything that is kept: a file that exactly one writer creates, durable on return."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.store import layout
from vae_search.store.json_files import from_json_bytes, to_json_bytes
from vae_search.store.local_files import free_space, link_exclusively, remove_folder, sync_folder, walk, write_durably

STORE_VERSION = 1


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
            StoreUnavailable: The store is full, read-only or broken; the file is not there.
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

    def list(self, prefix: str) -> list[str]:
        """The paths of all files in a folder and below, sorted; none if there is no such folder."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """What `list` lists, in its order, with the size of each file in bytes."""

    def remove(self, path: str) -> None:
        """Remove a file; a missing one is fine."""

    def remove_tree(self, prefix: str) -> None:
        """Remove a folder and what it held when the call began; a missing one is fine."""

    def local_path(self, path: str) -> Path | None:
        """Where a reader that needs a file system finds `path`; None if the store is on none."""


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
    try:
        root = Path(rest or location).expanduser()
        usable = root.is_dir() or not root.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreUnavailable(f"{location[:200]}: cannot be a store: {error}"[:400]) from error
    if not usable:
        raise StoreUnavailable(f"{root}: the store must be a folder, but this is a file. Give another --store.")
    store = LocalStore(root)
    try:
        version = from_json_bytes(store.read(layout.STORE), where=f"{root}/{layout.STORE}").get("store_version")
    except NotFound:
        return store
    if not isinstance(version, int):
        raise CorruptStore(
            f"{root}/{layout.STORE}: must say the store's version, but does not. Restore it from a copy."
        )
    if version > STORE_VERSION:
        raise StoreUnavailable(
            f"{root}: this program reads stores up to version {STORE_VERSION}, but this one has version {version}. "
            "Install a newer vae-search."
        )
    return store


def prove_exclusive(store: Store) -> None:
    """Check that a second create of the same file fails, as everything here relies on it.

    Raises:
        StoreUnavailable: It does not, or nothing can be written.
    """
    path = layout.probe(secrets.token_hex(8))
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


class LocalStore:
    """A store in a folder of this machine or of a network file system with hard links."""

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        self._root = Path(os.path.abspath(root))  # noqa: PTH100 - symbolic links stay, as the user wrote them
        self._durable_folders: set[Path] = set()

    def create(self, path: str, content: bytes) -> None:
        self._write_version(path)
        self._create(path, content)

    def replace(self, path: str, content: bytes) -> None:
        self._write_version(path)
        with self._written(path, content) as (partial, target):
            partial.replace(target)

    def read(self, path: str) -> bytes:
        target = self._full(path)
        try:
            return target.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{path}: is not in the store {self.location}.") from None
        except OSError as error:
            raise self._unavailable(path, "read", error) from error

    def list(self, prefix: str) -> list[str]:
        found = []
        try:
            for folder, _, names in walk(self._full(prefix)):
                inside = "" if folder == self._root else f"{folder.relative_to(self._root).as_posix()}/"
                if not inside.startswith(".") and "/." not in inside:
                    found += [f"{inside}{name}" for name in names if not name.startswith(".")]
        except OSError as error:
            raise self._unavailable(prefix, "listed", error) from error
        return sorted(found)

    def sizes(self, prefix: str) -> dict[str, int]:
        found = {}
        for path in self.list(prefix):
            try:
                found[path] = self._full(path).stat().st_size
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                raise self._unavailable(path, "measured", error) from error
        return found

    def remove(self, path: str) -> None:
        try:
            self._full(path).unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise self._unavailable(path, "removed", error) from error

    def remove_tree(self, prefix: str) -> None:
        try:
            for folder, folders, names in walk(self._full(prefix), leaves_first=True):
                for name in names:
                    (folder / name).unlink(missing_ok=True)
                for name in folders:
                    remove_folder(folder / name)
            remove_folder(self._full(prefix))
        except OSError as error:
            raise self._unavailable(prefix, "removed", error) from error

    def local_path(self, path: str) -> Path | None:
        return self._full(path)

    def _write_version(self, path: str) -> None:
        if self._root not in self._durable_folders and path != layout.STORE:
            with suppress(AlreadyThere):
                self._create(layout.STORE, to_json_bytes({"store_version": STORE_VERSION}))

    def _create(self, path: str, content: bytes) -> None:
        with self._written(path, content) as (partial, target):
            if not link_exclusively(partial, target):
                raise AlreadyThere(path)
            try:
                sync_folder(target.parent)
            except OSError:
                # It may not survive a power cut, so it must not count as written.
                target.unlink(missing_ok=True)
                raise

    @contextmanager
    def _written(self, path: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        """A hidden, durable file with `content` beside the target; it is gone in the end, whatever happened."""
        target = self._full(path)
        partial = target.parent / layout.partial(target.name, secrets.token_hex(8))
        try:
            self._make_durable(target.parent)
            try:
                write_durably(partial, content)
                yield partial, target
            finally:
                with suppress(OSError):  # a hidden leftover harms nobody; the outcome is already decided
                    partial.unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable(path, "written", error) from error

    def _make_durable(self, folder: Path) -> None:
        """Make the folder and, once per process, its whole way down from the root survive a power cut."""
        if folder in self._durable_folders and folder.is_dir():
            return
        existing = next(parent for parent in (self._root, *self._root.parents) if parent.is_dir())
        way = (folder, *folder.parents)
        durable = next((level for level in way if level in self._durable_folders and level.is_dir()), existing)
        folder.mkdir(parents=True, exist_ok=True)
        new = way[: way.index(durable)]
        for level in new:
            # Also for a folder that another process has just made: it may not have come to this line yet.
            sync_folder(level.parent)
        self._durable_folders |= {*new, self._root}

    def _full(self, path: str) -> Path:
        if "//" in f"/{path}" or "/." in f"/{path}":
            raise ValueError(f"{path}: must be a relative path without parts that are empty or start with '.'")
        return self._root / path

    def _unavailable(self, path: str, verb: str, error: OSError) -> StoreUnavailable:
        advice = _ADVICE.get(error.errno or 0, "Check the disk or the network")
        return StoreUnavailable(
            f"{self.location}/{path}: cannot be {verb}: {error.strerror or error}; {free_space(self._root)}.\n"
            f"{advice}, then run the same command again."
        )


_ADVICE = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space") | dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM), "Let this user write there, or give another --store"
)
