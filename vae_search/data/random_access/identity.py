"""Identities: of decoded pixels by their bytes, and of files by what tells that they have changed."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vae_search.data.image_checks import Images, blocks


def fingerprint(*parts: Images | None) -> str:
    """SHA-256 of decoded images: their type, shape and scale, and every pixel in the source's order."""
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            digest.update(b"none")
            continue
        header = [part.pixels.dtype.str, part.pixels.shape, part.scale]
        digest.update(json.dumps(header).encode())
        for block in blocks(part.pixels):
            digest.update(block.data)
    return digest.hexdigest()


def files_identity(place: Path, *, beside: Iterable[Path] = ()) -> str:
    """SHA-256 of path, size and time of change of a file, or of every file below a folder.

    Args:
        beside: files that are read with it although they do not lie in it.

    Raises:
        OSError: They cannot be looked at.
    """
    digest = hashlib.sha256(str(place.absolute()).encode(errors="surrogateescape"))
    for path in sorted({*_files(place), *beside}):
        facts = path.stat()
        digest.update(f"\0{path}\0{facts.st_size}\0{facts.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
        return
    seen: set[str] = set()
    for folder, folders, names in os.walk(place, followlinks=True):  # as those follow links who read the pictures
        seen.add(os.path.realpath(folder))
        folders[:] = [name for name in folders if os.path.realpath(Path(folder, name)) not in seen]
        yield from (path for name in names if (path := Path(folder, name)).is_file())
