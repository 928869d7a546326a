"""Pictures below a folder: each folder is read once, links are followed inside of it alone, the rest is counted."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vae_search.core.text import printable
from vae_search.data.formats.pictures.encoded_images import SUFFIXES
from vae_search.data.formats.pictures.parts import Parts
from vae_search.data.formats.safe_reading import place, reading, refuse_irregular
from vae_search.errors import BadData

LEFT_BEHIND = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderListing:
    """Pictures of a folder in the order of their paths, and what is not among them."""

    pictures: tuple[tuple[Parts, Path], ...]
    """each with its path inside the folder"""
    left_out: Mapping[str, int]
    """files that are no pictures by their ending, by that; hidden ones are not counted"""
    others: tuple[tuple[Parts, Path], ...]
    """those files, in the order of their paths"""
    linked_twice: tuple[str, ...]
    """links to folders whose pictures are there already"""


def list_pictures(folder: Path, *, follows_out: bool = False) -> FolderListing:
    """List all pictures below a folder. Hidden files and folders are left out.

    Args:
        follows_out: links that lead out of the folder are followed too.

    Raises:
        BadData: A folder cannot be read, a link leads out of `folder` or to nothing, or a picture is no regular file.
    """
    walk = _Walk(folder, follows_out=follows_out)
    with reading(place(folder)):
        walk.enter((), folder)
        # Folders come before links to them: so no order of names decides which of the two is read.
        while walk.links:
            walk.follow(*walk.links.pop(0))
    for _, file in walk.pictures:
        refuse_irregular(file)
    return FolderListing(
        pictures=tuple(sorted(walk.pictures)),
        left_out=dict(walk.left_out),
        others=tuple(sorted(walk.others)),
        linked_twice=tuple(walk.linked_twice),
    )


class _Walk:
    """Folders that were read so far, by their true places, and links that are still to be looked at."""

    def __init__(self, folder: Path, *, follows_out: bool) -> None:
        self._folder = folder
        self._root = folder.resolve()
        self._follows_out = follows_out
        self._read: set[Path] = set()
        self.pictures: list[tuple[Parts, Path]] = []
        self.left_out: Counter[str] = Counter()
        self.others: list[tuple[Parts, Path]] = []
        self.links: list[tuple[Parts, Path]] = []
        self.linked_twice: list[str] = []

    def enter(self, parts: Parts, folder: Path) -> None:
        waiting = [(parts, folder)]
        while waiting:
            parts, folder = waiting.pop()
            true_place = folder.resolve()
            if true_place in self._read:
                continue
            self._read.add(true_place)
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if is_hidden(entry.name):
                        continue
                    inside = (*parts, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((inside, folder / entry.name))
                    elif entry.is_symlink() and not entry.is_file():
                        self.links.append((inside, folder / entry.name))
                    elif entry.name.lower().endswith(SUFFIXES):
                        self.pictures.append((inside, folder / entry.name))
                    else:
                        self.left_out[Path(entry.name).suffix.lower() or "without an ending"] += 1
                        self.others.append((inside, folder / entry.name))

    def follow(self, parts: Parts, link: Path) -> None:
        """Read the folder that a link leads to."""
        name = printable("/".join(parts), 200)
        if not link.is_dir():
            raise BadData(f"{place(self._folder)}: {name} is a link to nothing that can be read. Remove or mend it.")
        target = link.resolve()
        if not (self._follows_out or target.is_relative_to(self._root)):
            raise BadData(
                f"{place(self._folder)}: {name} is a link out of this folder, to {place(target)}, and is not followed."
                "\nSet data.follow_links: true, put a copy of that folder in its place, or remove the link."
            )
        if target in self._read:
            self.linked_twice.append(name)
        self.enter(parts, link)


def is_hidden(name: str) -> bool:
    """True for files and folders that systems and editors leave behind."""
    return name.startswith(".") or name in LEFT_BEHIND
