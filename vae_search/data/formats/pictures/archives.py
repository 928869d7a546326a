"""Pictures in a .zip or .tar archive, packed or not, in class folders or not; WebDataset's shards are such archives.

Nothing is unpacked to anywhere: a path in an archive is only a name, links in it are left aside.
"""

import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.decoding import decode_parts
from vae_search.data.formats.pictures.encoded_images import SUFFIXES, Encoded, PictureSet, room_for
from vae_search.data.formats.pictures.folder_listing import is_hidden
from vae_search.data.formats.pictures.masks import part_names_note, without_masks
from vae_search.data.formats.pictures.parts import Parts, classes_of, parts_of
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import DAMAGED, place, reading
from vae_search.errors import BadData

ENCRYPTED = 1  # bit of a member's flags
MOST_MEMBERS = 20_000_000
MOST_PICTURE_BYTES = 2**27  # encoded
SORTED_AT_ONCE = 256  # pictures, which are held beside those in files
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

Members = Iterator[tuple[str, int, Callable[[], bytes]]]
"""name, size and content of the regular files of an archive, in its order"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveListing:
    """Pictures of archives in the order of their paths.

    Args:
        archives: files of them, one after another.
        pictures: number of the archive, rank of the picture in it, and its name.
        left_out: files that are no pictures by their ending, by that; hidden ones are not counted.
    """

    archives: tuple[Path, ...]
    pictures: tuple[tuple[int, int, str], ...]
    left_out: Mapping[str, int]


def is_archive(name: str) -> bool:
    """True if a file's ending says that it is an archive of files."""
    return name.lower().endswith(ENDINGS)


def list_archives(archives: Sequence[Path]) -> ArchiveListing:
    """List the pictures of archives.

    Raises:
        BadData: One is damaged, or holds a picture that is too large.
    """
    pictures: list[tuple[int, int, str]] = []
    left_out: Counter[str] = Counter()
    for number, archive in enumerate(archives):
        for name, size, _ in _members(archive):
            if any(is_hidden(part) for part in _split(name)):
                continue
            if not name.lower().endswith(SUFFIXES):
                left_out[Path(name).suffix.lower() or "without an ending"] += 1
                continue
            if size > MOST_PICTURE_BYTES:
                raise BadData(
                    f"{place(archive)}: pictures must take at most {MOST_PICTURE_BYTES >> 20} MiB, but "
                    f"{printable(name, 200)} takes {size >> 20:,}. Remove it."
                )
            pictures.append((number, len(pictures), name))
            if len(pictures) > MOST_MEMBERS:
                raise BadData(f"{place(archive)}: must hold at most {MOST_MEMBERS:,} pictures, but it holds more.")
    ordered = sorted(pictures, key=lambda item: (item[0], _split(item[2])))
    return ArchiveListing(archives=tuple(archives), pictures=tuple(ordered), left_out=left_out)


def read_archives(
    listing: ArchiveListing, choices: Choices, *, where: str, roles: Sequence[Role] | None = None
) -> Found:
    """The pictures of archives, by part if folders in them say so, or the archives' own names do.

    Args:
        roles: part that each archive is; None if their folders say it, or nothing does.

    Raises:
        BadData: One cannot be decoded, sizes differ, or names do not tell which pictures are to be trained on.
    """
    listing = _one_of_each_sample(listing, choices, where)
    kept, masks = without_masks([_split(name) for *_, name in listing.pictures])
    listing = replace(listing, pictures=tuple(listing.pictures[position] for position in kept))
    paths = [_split(name) for *_, name in listing.pictures]
    if roles is None:
        divided = parts_of(paths, where=where)
        pooled = () if divided.roles else part_names_note(paths)
        positions, notes = divided.positions, (*divided.notes, *pooled, *masks)
        classes = classes_of(paths, positions, divided.roles)
    else:
        positions, notes = _by_archive(listing, roles), masks
        classes = classes_of(paths, positions, ())
    sets = {
        role: PictureSet(where=where, count=len(at), each=partial(_encoded, listing, at, where))
        for role, at in positions.items()
    }
    decoded = decode_parts(sets, choices)
    lying = {role: _lying(listing, positions[role])[kept] for role, kept in decoded.kept.items()}
    images = {role: _sorted(lying[role], images, choices, where) for role, images in decoded.images.items()}
    labels = {role: names[np.sort(lying[role])] for role, names in classes.items()}
    left = sum(listing.left_out.values())
    kinds = sorted(listing.left_out.items(), key=lambda item: (-item[1], item[0]))
    held = first_few([f"{count:,} {ending}" for ending, count in kinds])
    unread = (f"Left out, as no pictures by their endings: {left:,} files ({held}).",) if left else ()
    return replace(Found.of(images, notes=(*notes, *decoded.notes, *unread)), labels=labels)


def _one_of_each_sample(listing: ArchiveListing, choices: Choices, where: str) -> ArchiveListing:
    """One picture of each sample, where every sample has several: `000.input.png` and `000.target.png`."""
    by_ending = Counter(_ending(name) for *_, name in listing.pictures)
    keys = {(number, name[: len(name) - len(_ending(name))]) for number, _, name in listing.pictures}
    if len(by_ending) < 2 or any(count != len(keys) for count in by_ending.values()):
        return listing
    wanted = [ending for ending in by_ending if choices.column in (ending, ending.partition(".")[0])]
    if len(wanted) != 1:
        raise BadData(
            f"{where}: each sample must have one picture, but it has {len(by_ending)}: {first_few([*by_ending], 8)}.\n"
            f"Say which: data.column: {next(iter(by_ending)).partition('.')[0]}"
        )
    return replace(listing, pictures=tuple(picture for picture in listing.pictures if _ending(picture[2]) == wanted[0]))


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2]


def _by_archive(listing: ArchiveListing, roles: Sequence[Role]) -> dict[Role, list[int]]:
    found: dict[Role, list[int]] = {}
    for position, (number, *_) in enumerate(listing.pictures):
        found.setdefault(roles[number], []).append(position)
    return found


def _encoded(listing: ArchiveListing, positions: Sequence[int], where: str) -> Iterator[Encoded]:
    """Pictures in the order in which they lie in the archives: a packed one can only be read from its beginning."""
    wanted: dict[int, set[str]] = {}
    for position in positions:
        number, _, name = listing.pictures[position]
        wanted.setdefault(number, set()).add(name)
    for number, archive in enumerate(listing.archives):
        for name, content in _contents(archive, wanted.get(number, set())):
            inside = printable(name, 200) if len(listing.archives) == 1 else f"{archive.name}: {printable(name, 200)}"
            yield f"{where}: {inside}", content


def _lying(listing: ArchiveListing, positions: Sequence[int]) -> np.ndarray:
    """Places among `positions` of the pictures in the order in which they lie."""
    return np.argsort([listing.pictures[position][1] for position in positions])


def _sorted(lying: np.ndarray, images: np.ndarray, choices: Choices, where: str) -> np.ndarray:
    """Images in the order of their paths, from the order in which they lie; outside of memory if they are.

    Args:
        lying: place of each in the order of paths.
    """
    order = np.argsort(lying)
    if (order == np.arange(len(order))).all():
        return images
    found = room_for(choices, images.shape, images.dtype, where, images.nbytes)
    for first in range(0, len(order), SORTED_AT_ONCE):
        block = slice(first, first + SORTED_AT_ONCE)
        found[block] = images[order[block]]
    return found


def _contents(archive: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for name, _, content in _members(archive) if wanted else ():
        if name in wanted:
            with reading(place(archive)):
                yield name, content()


def _members(archive: Path) -> Members:
    where = place(archive)
    with reading(where):
        if archive.name.lower().endswith(".zip"):
            yield from _zip_members(archive, where)
        else:
            yield from _tar_members(archive, where)


def _zip_members(archive: Path, where: str) -> Members:
    seen: set[str] = set()
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if member.is_dir() or member.filename in seen:
                    continue
                if member.flag_bits & ENCRYPTED:
                    raise BadData(f"{where}: must be a .zip file without a password. Unpack it, and give the folder.")
                seen.add(member.filename)
                yield member.filename, member.file_size, partial(_zip_content, file, member)
    except (RuntimeError, NotImplementedError, UnicodeDecodeError) as error:
        raise BadData(f"{where}: must be a usual .zip file, but: {printable(str(error), 160)}.") from error


def _zip_content(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Content of a member; nothing if it is damaged, which is then a damaged picture."""
    try:
        with file.open(member) as stream:
            return stream.read(member.file_size + 1)
    except (*DAMAGED, RuntimeError, NotImplementedError, ValueError, OSError):
        return b""


def _tar_members(archive: Path, where: str) -> Members:
    seen: set[str] = set()
    # A stream if it is packed: whatever the archive says, no place in it is gone to.
    with tarfile.open(archive, mode="r:*" if archive.suffix.lower() == ".tar" else "r|*") as file:
        while (member := file.next()) is not None:
            vars(file)["members"] = []  # else it keeps every member that it has seen
            if not member.isreg() or member.name in seen:
                continue
            seen.add(member.name)
            yield member.name, member.size, partial(_tar_content, file, member)


def _tar_content(file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = file.extractfile(member)
    return b"" if stream is None else stream.read(member.size)


def _split(name: str) -> Parts:
    return tuple(part for part in name.split("/") if part not in ("", "."))
