"""Room for pictures while they are decoded, and memory of what they turned out to be.

How many pictures of a folder can be decoded, whether one of them is in colour and what must be said of them shows only
when all are decoded. Those that do not fit in memory are decoded into a file without a name, which goes with its
process; and what was found is kept, so that nobody decodes them again to know it.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache as once
from pathlib import Path
from typing import Any, cast

import numpy as np

from vae_search.data.formats.found import Found
from vae_search.data.formats.roles import Role
from vae_search.data.image_checks import refuse_too_large
from vae_search.data.random_access.kept_folders import FOLDER, check_room, full_disk, is_whole, kept_folder
from vae_search.data.random_access.mapped_source import Room

VERSION = 1  # of the files; another one has other names
PREFIX = "found-"
FACTS, LABELS = "found.json", "labels.npz"


class Spool:
    """Room for decoded pictures: in memory, or in files of the cache that nobody else sees.

    Args:
        room: says where, and how much fits in memory.
    """

    def __init__(self, room: Room) -> None:
        self._room = room

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, *, where: str, beside_bytes: int = 0) -> np.ndarray:
        """An array of this shape and type; its contents are anything.

        Args:
            where: what messages begin with.
            beside_bytes: size of other images of the data set.

        Raises:
            BadData: The disk has no room for it.
        """
        size = math.prod(shape) * dtype.itemsize
        if size + beside_bytes <= self._room.limit_bytes:
            return np.empty(shape, dtype)
        if dtype != np.uint8:  # they are still to be brought into another range, in memory
            refuse_too_large(shape, dtype.itemsize, where=where, beside_bytes=beside_bytes)
        try:
            check_room(self._room.cache, size, where=where)
            with tempfile.TemporaryFile(dir=self._room.cache / FOLDER) as file:
                if hasattr(os, "posix_fallocate"):  # a page that finds no room later would end the process
                    os.posix_fallocate(file.fileno(), 0, size)
                return np.memmap(cast(Any, file), dtype, "r+", shape=shape)
        except OSError as error:
            raise full_disk(error, self._room.cache, where=where) from error


def recalled(room: Room, read: Callable[[], Found], *, where: str) -> Found:
    """Images by part, as `read` finds them, or as it has found them before, if they did not fit in memory.

    Of the latter only shape and type are at hand: they are read if someone asks for pixels, and in the cache they have
    been decoded already.

    Args:
        where: what messages begin with.

    Raises:
        BadData: What `read` raises, or the cache cannot be written.
    """
    images = room.cache / FOLDER
    known = images / f"{PREFIX}{_name(room)}" if any(images.glob(f"{PREFIX}*")) else None
    if known is not None and is_whole(known):
        return _from(known, read)
    found = read()
    if any(isinstance(part, np.memmap) for part in found.parts.values()):
        try:
            kept_folder(images / f"{PREFIX}{_name(room)}", lambda folder: _write(found, folder))
        except OSError as error:
            raise full_disk(error, room.cache, where=where) from error
    return found


class _RecalledReader:
    """Images whose shape and type are known; an `ImageReader` that reads all of them at once if it must."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, images: Callable[[], np.ndarray]) -> None:
        self.shape, self.dtype, self._images = shape, dtype, images

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._images()[start:stop]


def _name(room: Room) -> str:
    return hashlib.sha256(json.dumps([VERSION, room.identity()]).encode()).hexdigest()[:32]


def _write(found: Found, folder: Path) -> None:
    facts = {
        "parts": {role: [images.shape, images.dtype.str] for role, images in found.parts.items()},
        "notes": found.notes,
        "in_published_order": found.in_published_order,
        "class_names": found.class_names,
    }
    (folder / FACTS).write_text(json.dumps(facts))
    np.savez(folder / LABELS, allow_pickle=False, **cast(dict[str, Any], found.labels))


def _from(folder: Path, read: Callable[[], Found]) -> Found:
    facts = json.loads((folder / FACTS).read_bytes())
    again = once(read)

    def images_of(role: Role) -> Callable[[], np.ndarray]:
        return lambda: cast(np.ndarray, again().parts[role])

    with np.load(folder / LABELS, allow_pickle=False) as labels:
        by_role = {role: labels[role] for role in labels.files}
    parts = {
        role: _RecalledReader(tuple(shape), np.dtype(kind), images_of(role))
        for role, (shape, kind) in facts["parts"].items()
    }
    found = Found.of(parts, notes=tuple(facts["notes"]), in_published_order=facts["in_published_order"])
    return replace(found, labels=by_role, class_names=tuple(facts.get("class_names", ())))
