"""File-system steps of a store on a local or network disk."""

import errno
import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path


def link_exclusively(partial: Path, target: Path) -> bool:
    """Give the file `partial` its second name `target`; False if another file has that name.

    A network file system may apply a link, lose the answer, try again and report "exists": then both names are the
    same file, and the link is ours.
    """
    try:
        os.link(partial, target)
    except FileExistsError:
        return target.samefile(partial)
    return True


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file; on return its content, but not yet its name, survives a power cut."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())


def sync(handle: int) -> None:
    """Let what was written to an open file reach the disk itself; macOS's fsync leaves it in the disk's cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def free_space(folder: Path) -> str:
    """Free bytes on the disk of `folder`, or of what exists of its path."""
    where = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    try:
        return f"{shutil.disk_usage(where).free / 1e6:,.1f} MB free on {where}"
    except OSError as error:
        return f"{where} does not say how much is free ({error.strerror})"


def walk(folder: Path, *, leaves_first: bool = False) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Like os.walk, but an unreadable folder is an error: its rows must not go missing in silence."""

    def stop_unless_gone(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for inside, folders, names in os.walk(folder, topdown=not leaves_first, onerror=stop_unless_gone):
        yield Path(inside), folders, names


def abandoned_files(folder: Path, *, name: re.Pattern[str], older_than_s: float, now_s: float) -> dict[Path, int]:
    """Files below `folder` of such a name that nobody has touched for so long, with their sizes in bytes.

    Args:
        now_s: seconds since 1970, as in the times of files.
    """
    found = {}
    for inside, _, names in walk(folder):
        for path in (inside / each for each in names if name.fullmatch(each)):
            if (status := _status(path)) and now_s - status.st_mtime > older_than_s:
                found[path] = status.st_size
    return found


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def remove_folder(folder: Path) -> None:
    """Remove an empty folder; one that is missing, or got new files meanwhile, is fine."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
