"""The store in a folder."""

import errno
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vae_search.errors import NotFound, StoreUnavailable
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import VERSION_RECORD, AlreadyThere, checked_path, visible_paths
from vae_search.store.backends.local_io import (
    free_space,
    name_exclusively,
    partial_name,
    read_regular,
    remove_folder,
    sync_folder,
    walk,
    write_durably,
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
        try:
            return read_regular(self._full(path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(f"{path}: is not in the store {self.location}.") from None
        except OSError as error:
            raise self._unavailable(path, "read", error) from error

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        for path in paths:
            try:
                content = self.read(path)
            except NotFound:
                yield None
            else:
                yield content

    def list(self, prefix: str) -> list[str]:
        found = []
        try:
            for folder, _, names in walk(self._full(prefix)):
                inside = "" if folder == self._root else f"{folder.relative_to(self._root).as_posix()}/"
                found += [f"{inside}{name}" for name in names]
        except OSError as error:
            raise self._unavailable(prefix, "listed", error) from error
        return visible_paths(found)

    def folders(self, prefix: str) -> Sequence[str]:
        try:
            with os.scandir(self._full(prefix)) as found:
                names = [entry.name for entry in found if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._unavailable(prefix, "listed", error) from error
        return sorted(name for name in names if not name.startswith("."))

    def sizes(self, prefix: str) -> dict[str, int]:
        found = {}
        for path in self.list(prefix):
            try:
                found[path] = self._full(path).lstat().st_size
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
        if self._root not in self._durable_folders and path != store_paths.STORE:
            with suppress(AlreadyThere):
                self._create(store_paths.STORE, VERSION_RECORD)

    def _create(self, path: str, content: bytes) -> None:
        with self._written(path, content) as (partial, target):
            if not name_exclusively(partial, target):
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
        partial = target.parent / partial_name(target.name, secrets.token_hex(8))
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
        return self._root / checked_path(path)

    def _unavailable(self, path: str, verb: str, error: OSError) -> StoreUnavailable:
        advice = _ADVICE.get(error.errno or 0, "Check the disk or the network")
        return StoreUnavailable(
            f"{self.location}/{path}: cannot be {verb}: {error.strerror or error}; {free_space(self._root)}.\n"
            f"{advice}, then run the same command again."
        )


_ADVICE = (
    dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space")
    | dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Let this user write there, or give another --store")
    | {errno.ENOTSUP: "Give a --store on another file system, or in a bucket"}
)
