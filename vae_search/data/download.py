"""Published files, fetched once into a cache folder and verified whenever they are read."""

import gzip
import hashlib
import logging
import os
import shutil
import tempfile
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from filelock import FileLock

from vae_search.core.text import printable

logger = logging.getLogger(__name__)

TIMEOUT_S = 15.0  # of one wait for the server, not of the download
LOCK_TIMEOUT_S = 600.0
MAX_BYTES = 256 * 2**20  # packed or unpacked, whatever a server sends


class DownloadFailed(Exception):
    """A published file cannot be obtained; the text is the reason. The caller knows what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file that is the same for everyone.

    Args:
        url: where it is published; its last part is the file's name.
        sha256: of the content, after unpacking if `unpacked`.
        unpacked: the file is gzipped, and copies are packed in more than one way: only what is in it counts.
    """

    url: str
    sha256: str
    unpacked: bool = False

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


def published(file: PublishedFile, *, cache: Path, elsewhere: Sequence[Path] = ()) -> bytes:
    """A published file's content, unpacked if it says so, from a folder that has it or else downloaded into `cache`.

    Processes that ask at the same time download once.

    Args:
        elsewhere: folders to look in first; nothing is written there.

    Raises:
        DownloadFailed: It is in no folder and cannot be downloaded, or what came is not the published file.
    """
    for folder in (*elsewhere, cache):
        content = _verified(folder / file.name, file)
        if content is not None:
            return content
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{file.name}.lock", timeout=LOCK_TIMEOUT_S):
            content = _verified(cache / file.name, file)  # another process may have been first
            return _download(file, cache) if content is None else content
    except HTTPError as error:
        error.close()  # it is the server's reply as well, and holds a socket
        raise DownloadFailed(f"the server answers {error.code} {_reason(error)}") from error
    except (OSError, HTTPException) as error:  # URLError and the lock's Timeout are OSErrors
        raise DownloadFailed(_reason(error)) from error


def fetched(url: str, target: Path) -> Path:
    """Download a file once to `target`; its content is not checked here.

    Raises:
        DownloadFailed: The server does not give it, or not all of it.
    """
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=LOCK_TIMEOUT_S):
            if target.exists():  # another process was first
                return target
            partial = target.with_name(f".{target.name}.part")
            try:
                with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply, partial.open("wb") as file:  # noqa: S310
                    shutil.copyfileobj(reply, file)
                    missing = reply.length  # read block by block, a reply that is cut off just ends
                if missing:
                    raise DownloadFailed(f"the connection ended {missing:,} bytes too early")
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except HTTPError as error:
        error.close()
        raise DownloadFailed(f"the server answers {error.code} {_reason(error)}") from error
    except (OSError, HTTPException, ValueError) as error:  # an address that is none is a ValueError
        raise DownloadFailed(_reason(error)) from error
    return target


def _download(file: PublishedFile, cache: Path) -> bytes:
    logger.info("downloading %s", file.url)
    handle, name = tempfile.mkstemp(dir=cache, prefix=f".{file.name}.", suffix=Path(file.name).suffix)
    partial = Path(name)
    try:
        with (
            os.fdopen(handle, "wb") as target,
            urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as reply,  # noqa: S310 our constants, and verified
        ):
            target.write(reply.read(MAX_BYTES))
        content = _verified(partial, file)
        if content is None:
            raise DownloadFailed("what came is not the published file (its SHA-256 differs)")
        partial.replace(cache / file.name)
        return content
    finally:
        partial.unlink(missing_ok=True)


def _verified(path: Path, file: PublishedFile) -> bytes | None:
    """The content if it is the published one."""
    try:
        with gzip.open(path) if file.unpacked else path.open("rb") as stream:
            content = stream.read(MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, EOFError, zlib.error) as error:
        logger.warning("%s is left aside: %s", path, _reason(error))
        return None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        logger.warning("%s is left aside: it is not the published file (its SHA-256 differs)", path)
        return None
    return content


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return printable(str(reason) or type(error).__name__, 200)
