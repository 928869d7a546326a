"""Reading untrusted files: never more than announced, and every failure in words."""

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from typing import Protocol

from vae_search.core.text import printable, short_path
from vae_search.errors import BadData

BLOCK_BYTES = 2**24
DAMAGED = (EOFError, LZMAError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, tarfile.TarError)


class Readable(Protocol):
    """Source of bytes: a file, packed or not, or a member of an archive."""

    def read(self, size: int, /) -> bytes: ...


def place(path: Path) -> str:
    """A path at the start of a message: on one line, whatever its name is."""
    return short_path(path, 400)


def refuse_irregular(path: Path) -> None:
    """Refuse what would block or never end when it is read: pipes, sockets, devices.

    Raises:
        BadData: `path` is no regular file, or cannot be looked at.
    """
    with reading(place(path)):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise BadData(f"{place(path)}: must be a file, but it is a pipe, a device or the like. Give a regular file.")


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what the operating system and the decompressors raise into BadData."""
    try:
        yield
    except DAMAGED as error:
        reason = printable(str(error))
        raise BadData(f"{where}: must be complete, but it is truncated or damaged ({reason}). Get it again.") from error
    except OSError as error:
        raise BadData(f"{where}: must be readable, but: {error.strerror or error}.") from error


def read_exactly(stream: Readable, size: int, *, where: str, is_last: bool = True) -> bytearray:
    """The next `size` bytes of `stream`, which must be the rest of it if they are the last.

    Block by block: a header may announce far more than there is, and that much must not be allocated for it.

    Raises:
        BadData: There is less or more.
    """
    most = size + 1 if is_last else size
    content = bytearray()
    while len(content) < most and (block := stream.read(min(BLOCK_BYTES, most - len(content)))):
        content += block
    if len(content) != size:
        found = f"holds {len(content):,}: it is truncated" if len(content) < size else "holds more"
        raise BadData(f"{where}: must hold {size:,} bytes of pixels by its header, but {found}. Get it again.")
    return content
