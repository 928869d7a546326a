"""Decoded images that do not fit in memory: decoded once for a node, into files of its cache that are then mapped."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_search.data.image_checks import Images, check_shape, check_type, decoded_limit_bytes
from vae_search.data.random_access.identity import fingerprint
from vae_search.data.random_access.image_reader import ImageReader, decoded_blocks, size_bytes
from vae_search.data.random_access.kept_folders import FOLDER, KeptFile, check_room, full_disk, kept
from vae_search.data.random_access.mapped_images import Keep, MappedImages

VERSION = 1  # of these files; another one has other names
FACTS = "images.json"
Parts = Mapping[str, np.ndarray | ImageReader]
"""Images by the name of their part, `train` first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Checked images by part, and the scaling that they were brought from, if any; see `Found`."""

    parts: Mapping[str, Images]
    scaling: str | None = None


Check = Callable[[Mapping[str, np.ndarray], Mapping[str, Keep]], Checked]
"""Checks the arrays of all parts, and keeps pixels of another type than those have"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Place for images that do not fit in memory.

    Args:
        cache: folder whose `images` holds them.
        identity: of what they are read from; another one is decoded anew. It is asked for only if they do not fit.
        held_bytes: most that is held in memory; None: as much as fits here.
    """

    cache: Path
    identity: Callable[[], str]
    held_bytes: int | None = None

    @property
    def limit_bytes(self) -> int:
        """Most that is held in memory."""
        return decoded_limit_bytes() if self.held_bytes is None else self.held_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedSource:
    """Checked images of a source, in files of the cache.

    Args:
        folder: holds them; what is derived from them lies beside it.
        parts: images by part.
        fingerprint: of all parts, as they were when they were decoded.
        scaling: see `Checked`.
    """

    folder: Path
    parts: Mapping[str, Images]
    fingerprint: str
    scaling: str | None = None


def mapped_source(parts: Parts, *, room: Room, check: Check, where: str) -> MappedSource:
    """Images of a source in mapped files; decoded and checked now if this node has not done so yet.

    Args:
        where: what messages begin with.

    Raises:
        BadData: They cannot be used, or there is no room for them.
    """
    cache = room.cache

    def make(folder: Path) -> None:
        check_room(cache, sum(map(_most_bytes, parts.values())), where=where)
        _decode(parts, folder, check, where=where)

    try:
        kinds = [(name, *map(str, (images.shape, images.dtype))) for name, images in parts.items()]
        identity = json.dumps([VERSION, room.identity(), kinds])
        return kept(cache / FOLDER / hashlib.sha256(identity.encode()).hexdigest()[:32], make, _opened)
    except OSError as error:
        raise full_disk(error, cache, where=where) from error


def _most_bytes(images: np.ndarray | ImageReader) -> int:
    """Bytes at most that the files take while they are made: as read, and in their final type."""
    count = size_bytes(images) // images.dtype.itemsize
    return size_bytes(images) + (0 if images.dtype == np.uint8 else count * (4 if images.dtype.kind == "f" else 1))


def _decode(parts: Parts, folder: Path, check: Check, *, where: str) -> None:
    arrays, files = {}, {name: KeptFile(folder / f"{name}.pixels") for name in parts}
    for name, images in parts.items():
        check_type(images.dtype, where=where)
        shape = check_shape(images.shape, where=where)
        arrays[name] = KeptFile(_read_file(folder, name))(_as_announced(images, where), shape, images.dtype)
    checked = check(arrays, files)
    for name, file in files.items():
        if file.path.exists():
            _read_file(folder, name).unlink()
        else:
            _read_file(folder, name).rename(file.path)
    facts = {
        name: {"shape": images.pixels.shape, "dtype": images.pixels.dtype.str, "scale": images.scale}
        for name, images in checked.parts.items()
    }
    digest = fingerprint(checked.parts["train"], checked.parts.get("test"))
    found = {"parts": facts, "fingerprint": digest, "scaling": checked.scaling}
    (folder / FACTS).write_text(json.dumps(found))


def _read_file(folder: Path, part: str) -> Path:
    """The pixels of a part as they were read, before they are checked and brought into their form."""
    return folder / f"{part}.read"


def _as_announced(reader: np.ndarray | ImageReader, where: str) -> Iterator[np.ndarray]:
    """All images; a reader that gives others than it has announced is broken."""
    count = 0
    for block in decoded_blocks(reader):
        if block.dtype != reader.dtype or block.shape[1:] != reader.shape[1:]:
            raise ValueError(f"{where}: announced {reader.shape[1:]} {reader.dtype}, read {block.shape} {block.dtype}")
        count += len(block)
        yield block
    if count != reader.shape[0]:
        raise ValueError(f"{where}: announced {reader.shape[0]} images, read {count}")


def _opened(folder: Path) -> MappedSource:
    facts = json.loads((folder / FACTS).read_bytes())
    parts = {
        name: Images(
            pixels=MappedImages.open(folder / f"{name}.pixels", part["shape"], np.dtype(part["dtype"])),
            scale=part["scale"],
        )
        for name, part in facts["parts"].items()
    }
    return MappedSource(folder=folder, parts=parts, fingerprint=facts["fingerprint"], scaling=facts.get("scaling"))
