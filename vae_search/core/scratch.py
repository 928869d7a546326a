"""Scratch folders in the temporary directory; those whose owner was killed are removed by whoever makes the next one.

The owner of a folder holds a lock on a file in it. The system drops the lock with the process, however it ends, so a
lock that can be had proves that the owner is gone; process ids, which are used again, prove nothing.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vae_search.errors import ClusterTrouble

PREFIX = "vae-"
OWNER = "owner.lock"
LOGS = "logs-"  # purpose of folders whose files a person may still want
LOGS_KEPT_S = 7 * 86400.0

# The longest path of a socket, and what Ray puts between its folder and the end of that path:
# /ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store
SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
RAY_PATH_BYTES = 68
NAME_BYTES = len("/vae-") + 8


@contextmanager
def scratch_folder(purpose: str = "", *, parent: Path | None = None) -> Iterator[Path]:
    """A folder of this process for the length of the block.

    Args:
        purpose: a part of its name.
        parent: folder that it is made in; None: the temporary directory.
    """
    with owned_folder(purpose, parent=parent) as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def owned_folder(purpose: str, *, parent: Path | None = None) -> Iterator[Path]:
    """The same, but it stays: whoever makes the next folder removes it, unless this process has done so."""
    base = Path(tempfile.gettempdir()) if parent is None else parent
    remove_abandoned(base, now_s=time.time())
    folder = Path(tempfile.mkdtemp(prefix=PREFIX + purpose, dir=base))
    # Locked before it has its name, so that nobody ever finds it free while its owner lives.
    partial = folder / f".{OWNER}"
    with partial.open("wb") as lock:
        with suppress(OSError):  # a file system without locks: then nobody else can lock it, and the folder is safe
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        partial.rename(folder / OWNER)
        yield folder


def remove_abandoned(parent: Path, *, now_s: float) -> list[Path]:
    """Remove folders whose owners have ended without doing so themselves.

    Args:
        now_s: seconds since 1970; log files stay for a week.

    Returns:
        The folders that were removed.
    """
    found = sorted(folder for folder in parent.glob(f"{PREFIX}*") if _is_abandoned(folder, now_s=now_s))
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _is_abandoned(folder: Path, *, now_s: float) -> bool:
    try:
        if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
            return False
        with (folder / OWNER).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not folder.name.startswith(PREFIX + LOGS):
            return True
        return now_s - max(path.stat().st_mtime for path in folder.iterdir()) > LOGS_KEPT_S
    except OSError:  # no such lock, or somebody holds it, or the folder goes this very moment
        return False


def folder_for_sockets() -> Path:
    """The temporary directory, or another one where its path is too long for Ray's sockets.

    Raises:
        ClusterTrouble: All of them are too long, or cannot be written to.
    """
    longest = SOCKET_PATH_BYTES - RAY_PATH_BYTES - NAME_BYTES
    wanted = Path(tempfile.gettempdir())
    for folder in (wanted, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - a folder of our own is made in it
        if len(os.fsencode(folder)) <= longest and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise ClusterTrouble(
        f"{wanted}: Ray needs a temporary directory whose path has at most {longest} bytes, and /tmp cannot be used.\n"
        "Set TMPDIR to a shorter one, or train without Ray: --inline."
    )
