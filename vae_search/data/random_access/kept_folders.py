"""Folders of the cache that hold decoded images: whole, or not there.

One process makes a folder, and others that want it at the same time wait for that. It is made under another name, and a
seal, written last, lists its files with their sizes, times of change and digests; so whatever is interrupted, nothing
half-made is ever read, and nothing that somebody has written into since.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import BaseFileLock, FileLock

from vae_search.core.text import short_path
from vae_search.errors import BadData

Content = TypeVar("Content")
FOLDER = "images"  # of the cache
SEAL = "seal.json"
SPARE_BYTES = 2**28  # left free: a disk that is full to the last byte stops others


def kept_folder(folder: Path, make: Callable[[Path], None]) -> Path:
    """The whole folder of this name; made now if it is not there.

    Args:
        make: writes all files into the folder that it is given.

    Raises:
        BadData: What `make` raises, or the disk is full.
        OSError: The folder cannot be written.
    """
    if is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        if is_whole(folder):
            return folder
        for left in [*folder.parent.glob(f".{folder.name}.*.part"), *folder.parent.glob(folder.name)]:
            shutil.rmtree(left, ignore_errors=True)  # nobody is at work on it: that takes the lock
        part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
        part.mkdir()
        try:
            make(part)
            _seal(part)
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _sync(folder.parent)
    return folder


def _lock(folder: Path) -> BaseFileLock:
    """The lock of whoever makes or removes a kept folder."""
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def kept(folder: Path, make: Callable[[Path], None], read: Callable[[Path], Content]) -> Content:
    """Contents of a kept folder; one that looks whole and cannot be read is made anew.

    Raises:
        BadData, OSError: As for `kept_folder`.
    """
    whole = kept_folder(folder, make)
    try:
        return read(whole)
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile):
        with _lock(folder):  # another process may have made it anew meanwhile
            try:
                return read(folder)
            except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
                shutil.rmtree(folder, ignore_errors=True)
        return read(kept_folder(folder, make))


def is_whole(folder: Path) -> bool:
    """True if all files are there that the folder was sealed with, as they were then."""
    try:
        sealed = json.loads((folder / SEAL).read_bytes())
        return bool(sealed) and all(_facts(folder / name) == facts[:2] for name, facts in sealed.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def drop_damaged(folders: Iterable[Path]) -> list[Path]:
    """Read all files of whole folders and remove those folders in which one has other bytes.

    That takes about a second for each GB. Processes that have mapped such a file keep it.

    Returns:
        Folders that had other bytes, and whose images are to be opened anew: gone, or made anew by another process.

    Raises:
        BadData: One cannot be removed.
    """
    damaged = [folder for folder in folders if not _has_sealed_bytes(folder)]
    for folder in damaged:
        try:
            _remove_if_damaged(folder)
        except OSError as error:
            raise BadData(
                f"{short_path(folder, 400)}: decoded images there have been damaged, and cannot be removed: "
                f"{error.strerror or error}.\nDelete that folder; its images are made anew."
            ) from error
    return damaged


def _remove_if_damaged(folder: Path) -> None:
    """Remove a folder unless another process has put a whole one in its place since it was read."""
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")  # a name that `kept_folder` sweeps up
    with _lock(folder):  # so nobody makes it anew while it is read again
        if not folder.exists() or _has_sealed_bytes(folder):
            return
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _has_sealed_bytes(folder: Path) -> bool:
    try:
        sealed = json.loads((folder / SEAL).read_bytes())
        return bool(sealed) and all(_sha256(folder / name) == facts[2] for name, facts in sealed.items())
    except (OSError, ValueError, AttributeError, TypeError, IndexError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _facts(path: Path) -> list[int]:
    """Size and time of change: what tells that somebody has written into a file since."""
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


class KeptFile:
    """A file that consecutive parts of an array are written to; a `Keep`.

    They are written, not put into a map: a full disk is an error of the one, and the end of the process in the other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, blocks: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        with self.path.open("wb") as file:
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).data)
        return np.memmap(self.path, dtype, "r", shape=shape)


def check_room(cache: Path, size_bytes: int, *, where: str) -> None:
    """Refuse images that the disk of the cache has no room for, before they are decoded.

    Raises:
        BadData: Naming the folder, and the way to another one.
    """
    folder = cache / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free - SPARE_BYTES
    if size_bytes > free:
        raise _no_room(
            folder, f"take {size_bytes / 2**30:,.1f} GiB, and {max(0, free) / 2**30:,.1f} GiB are free", where
        )


def full_disk(error: OSError, cache: Path, *, where: str) -> BadData:
    """The error to tell when decoded images cannot be kept."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_room(cache / FOLDER, "have filled it", where)
    folder = short_path(cache / FOLDER, 400)
    return BadData(
        f"{where}: decoded images are kept in {folder}, but: {error.strerror or error}.\n"
        "Make that folder writable, or set XDG_CACHE_HOME to another one."
    )


def _no_room(folder: Path, found: str, where: str) -> BadData:
    others = sum(file.stat().st_size for file in folder.glob("*/*") if not file.is_symlink())
    advice = f"Delete what is in there ({others / 2**30:,.1f} GiB, made anew when needed), f" if others > 2**20 else "F"
    return BadData(
        f"{where}: decoded images that do not fit in memory are kept in {short_path(folder, 400)}, but these {found}.\n"
        f"{advice}ree some room there, or set XDG_CACHE_HOME to a folder on a larger disk."
    )


def _seal(folder: Path) -> None:
    sealed: dict[str, list[int | str]] = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sealed[path.name] = [*_facts(path), _sha256(path)]
    path = folder / SEAL
    with path.open("w") as file:
        json.dump(sealed, file)
        file.flush()
        os.fsync(file.fileno())
    _sync(folder)


def _sync(folder: Path) -> None:
    with suppress(OSError):  # a file system that cannot sync folders
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
