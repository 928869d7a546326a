"""Published files, fetched once into a cache folder and verified whenever they are read."""

import gzip
import hashlib
import logging
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from vae_search.core.transfer.remote_file import RemoteFailure
from vae_search.core.transfer.spans import copy_whole
from vae_search.data.remote.web_file import WebFile, reason_of

logger = logging.getLogger(__name__)

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
    except RemoteFailure as error:
        raise DownloadFailed(str(error)) from error
    except OSError as error:  # the lock's Timeout is one
        raise DownloadFailed(reason_of(error)) from error


def _download(file: PublishedFile, cache: Path) -> bytes:
    logger.info("downloading %s", file.url)
    handle, name = tempfile.mkstemp(dir=cache, prefix=f".{file.name}.", suffix=Path(file.name).suffix)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as target, WebFile(file.url).get(None, unless=None) as reply:
            copy_whole(reply, lambda _, piece: target.write(piece), most_bytes=MAX_BYTES)
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
        logger.warning("%s is left aside: %s", path, reason_of(error))
        return None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        logger.warning("%s is left aside: it is not the published file (its SHA-256 differs)", path)
        return None
    return content
