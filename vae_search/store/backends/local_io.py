"""File-system steps of a store on a local or network disk."""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

PARTIAL_NAME = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")

READ_AGAIN = 5  # times, of a file that is replaced every few seconds

NO_EXCLUSIVE_NAME = "the file system has neither hard links nor a renaming that replaces nothing"

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # exFAT and some FUSE; Azure Files; Cloud Storage FUSE
_RENAME_NOREPLACE = 1  # renameat2(2)
_AT_FDCWD = -100


def partial_name(name: str, nonce: str) -> str:
    """The hidden name, beside its target, of a file that is just being written."""
    return f".{name}.{nonce}.tmp"


def name_exclusively(partial: Path, target: Path) -> bool:
    """Give the file `partial` the name `target`; False if another file has that name.

    By a second link, or by a renaming that replaces nothing where the file system has no hard links. A network file
    system may apply a link, lose the answer, and report "exists" or an error of its own: then both names are the same
    file, and the link is ours.

    Raises:
        OSError: Neither is possible, or the disk has other trouble.
    """
    try:
        os.link(partial, target)
    except OSError as error:
        if _is_same_file(partial, target):
            return True
        if isinstance(error, FileExistsError):
            return False
        if error.errno in _NO_LINKS:
            return _rename_exclusively(partial, target)
        raise
    return True


def _rename_exclusively(partial: Path, target: Path) -> bool:
    """Rename `partial` to `target` unless there is such a file; Linux only."""
    rename = _renameat2()
    if rename is None:
        raise OSError(errno.ENOTSUP, NO_EXCLUSIVE_NAME)
    if rename(_AT_FDCWD, os.fsencode(partial), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code == errno.EEXIST:
        return False
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # the file system, or the kernel, does not know it
        raise OSError(errno.ENOTSUP, NO_EXCLUSIVE_NAME)
    raise OSError(code, os.strerror(code))


def _renameat2() -> Callable[..., int] | None:
    """The C library's renameat2(2); None where it has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def _is_same_file(partial: Path, target: Path) -> bool:
    try:
        return target.samefile(partial)
    except OSError:
        return False


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


def read_regular(path: Path) -> bytes:
    """Content of a file. Anything else of that name, which could block for ever, counts as missing.

    On a network file system a file that is replaced while it is read may give "stale handle": the new one is read then.

    Raises:
        FileNotFoundError: There is no file of that name.
    """
    for _ in range(READ_AGAIN):
        try:
            return _read_once(path)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
    return _read_once(path)


def _read_once(path: Path) -> bytes:
    try:
        # A pipe that nobody writes to would block in open().
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            return file.read()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link to itself; a socket
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
        raise


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
