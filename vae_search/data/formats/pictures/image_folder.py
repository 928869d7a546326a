"""A folder of pictures, in class folders or not, with folders for training, validation and testing or without."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vae_search.core.text import first_few, printable
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.decoding import decode_parts
from vae_search.data.formats.pictures.encoded_images import Encoded, PictureSet
from vae_search.data.formats.pictures.folder_listing import FolderListing
from vae_search.data.formats.pictures.masks import part_names_note, without_masks
from vae_search.data.formats.pictures.parts import classes_of, parts_of
from vae_search.data.formats.safe_reading import place


def read_image_folder(folder: Path, listing: FolderListing, choices: Choices = NONE) -> Found:
    """All pictures of a folder in the order of their paths, by part if its folders say so.

    Args:
        listing: of its pictures, of which there are some.

    Raises:
        BadData: One cannot be decoded, sizes differ, or names of folders do not tell which pictures are to be trained
            on.
    """
    where = place(folder)
    kept, masks = without_masks([parts for parts, _ in listing.pictures])
    listing = replace(listing, pictures=tuple(listing.pictures[position] for position in kept))
    paths = [parts for parts, _ in listing.pictures]
    divided = parts_of(paths, where=where)
    pooled = () if divided.roles else part_names_note(paths)
    sets = {
        role: PictureSet(where=where, count=len(positions), each=partial(_encoded, listing, positions, where))
        for role, positions in divided.positions.items()
    }
    decoded = decode_parts(sets, choices)
    found = Found.of(decoded.images, notes=(*divided.notes, *pooled, *decoded.notes, *masks, *listing_notes(listing)))
    classes = classes_of(paths, divided.positions, divided.roles)
    return replace(found, labels={role: names[decoded.kept[role]] for role, names in classes.items()})


def _encoded(listing: FolderListing, positions: Sequence[int], where: str) -> Iterator[Encoded]:
    for position in positions:
        parts, file = listing.pictures[position]
        yield f"{where}: {printable('/'.join(parts), 200)}", file


def listing_notes(listing: FolderListing) -> tuple[str, ...]:
    """Sentences on files that were left out, and on links."""
    notes = []
    if listing.left_out:
        count = sum(listing.left_out.values())
        notes.append(f"Left out, as no pictures by their endings: {count:,} files ({held(listing)}).")
    if listing.linked_twice:
        notes.append(f"Not read twice, as links to folders that are read: {first_few(listing.linked_twice)}.")
    return tuple(notes)


def held(listing: FolderListing) -> str:
    """Files that were left out, in words: `10 .jfif, 1 .csv`."""
    most = sorted(listing.left_out.items(), key=lambda item: (-item[1], item[0]))
    return first_few([f"{count:,} {ending}" for ending, count in most])
