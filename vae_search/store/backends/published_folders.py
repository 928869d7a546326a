"""Folders that readers outside of this package watch: whole whenever they can be seen, derived from other files.

On a disk a folder is made under a hidden name and renamed, and it goes the same way. A bucket knows no rename: there
one file is decisive, which is written last and removed first, and a folder without it counts for nothing.
"""

import errno
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vae_search.errors import StoreUnavailable
from vae_search.store.backends.base import Store, checked_path
from vae_search.store.backends.local_io import (
    PARTIAL_NAME,
    free_space,
    partial_name,
    remove_folder,
    sync_folder,
    walk,
    write_durably,
)


def publish_folder(store: Store, folder: str, files: Mapping[str, bytes], *, decisive: str) -> None:
    """Make a folder hold exactly `files`, whatever was there.

    Args:
        files: by path within the folder.
        decisive: the one of them without which the folder counts for nothing.

    Raises:
        StoreUnavailable: It is not there; the same call may be made again.
    """
    target = store.local_path(folder)
    if target is None:
        withdraw_folder(store, folder, decisive=decisive)
        for name in sorted(files, key=lambda name: name == decisive):
            store.replace(f"{folder}/{name}", files[name])
        return
    staged, replaced = _hidden(target), _hidden(target)
    try:
        try:
            _write(staged, files)
            if target.exists():
                target.rename(replaced)
            _take_place(staged, target)
            sync_folder(target.parent)
        finally:
            with suppress(OSError):  # hidden leftovers harm nobody, and `hidden_folders` finds them
                _remove(staged)
                _remove(replaced)
    except OSError as error:
        raise _unavailable(store, folder, target, error) from error


def withdraw_folder(store: Store, folder: str, *, decisive: str) -> None:
    """Remove a published folder; a missing one is fine. A reader that has its files open keeps them on a disk.

    Raises:
        StoreUnavailable: It may still be there.
    """
    target = store.local_path(folder)
    if target is None:
        store.remove(f"{folder}/{decisive}")
        store.remove_tree(folder)
        return
    hidden = _hidden(target)
    try:
        try:
            target.rename(hidden)
        except FileNotFoundError:
            return
        sync_folder(target.parent)
        _remove(hidden)
    except OSError as error:
        raise _unavailable(store, folder, target, error) from error


def hidden_folders(store: Store, parent: str, *, older_than_s: float, now_s: float) -> dict[str, int]:
    """Folders below `parent` that a process which died was making or removing, with their sizes in bytes.

    Args:
        older_than_s: the age from which nobody works on one any more.
        now_s: seconds since 1970, as in the times of files.
    """
    local = store.local_path(parent)
    if local is None or not local.is_dir():
        return {}
    found = {}
    for path in local.iterdir():
        if PARTIAL_NAME.fullmatch(path.name) and path.is_dir():
            with suppress(FileNotFoundError):  # its owner has just removed it
                if now_s - path.stat().st_mtime > older_than_s:
                    files = [inside / name for inside, _, names in walk(path) for name in names]
                    found[f"{parent}/{path.name}"] = sum(file.stat().st_size for file in files)
    return found


def remove_hidden(store: Store, folder: str) -> None:
    """Remove one of `hidden_folders`; a missing one is fine."""
    parent, _, name = folder.rpartition("/")
    local = store.local_path(parent)
    if local is not None and PARTIAL_NAME.fullmatch(name):
        _remove(local / name)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """A new folder with `files`; on return all but its own name survives a power cut."""
    folders = {folder}
    for name, content in files.items():
        file = folder / checked_path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, content)
        folders |= {parent for parent in file.parents if parent.is_relative_to(folder)}
    for inside in sorted(folders, reverse=True):
        sync_folder(inside)


def _take_place(staged: Path, target: Path) -> None:
    """Give a folder its name, unless another process has published there since it was looked at."""
    try:
        staged.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _remove(folder: Path) -> None:
    for inside, folders, names in walk(folder, leaves_first=True):
        for name in names:
            (inside / name).unlink(missing_ok=True)
        for name in folders:
            remove_folder(inside / name)
    remove_folder(folder)


def _hidden(target: Path) -> Path:
    return target.parent / partial_name(target.name, secrets.token_hex(8))


def _unavailable(store: Store, folder: str, target: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"{store.location}/{folder}: cannot be published: {error.strerror or error}; {free_space(target)}."
    )
