"""A folder of pictures, in class folders or not, with folders for training and testing or without."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.encoded_images import SUFFIXES, decode_pictures, turned_note
from vae_search.data.formats.folder_listing import FolderListing, Parts, list_pictures
from vae_search.data.formats.idx import idx_advice
from vae_search.data.formats.safe_reading import place
from vae_search.errors import BadData

Role = Literal["train", "test", "held out"]
# A folder's whole name, in letters: `train`, `Training_set`, `test2017`, `seg_test`, `validation`. Not `class_test`.
_WORDS: dict[Role, str] = {
    "train": "train(?:ing)?",
    "test": "test(?:ing)?",
    "held out": "val(?:id(?:ation)?)?|dev(?:el(?:opment)?)?|eval(?:uation)?|holdout|heldout",
}
ROLES = {
    role: re.compile(rf"(?:images?|imgs?|data|seg)?(?:{words})(?:set|data|images?|imgs?|split)?[0-9]*")
    for role, words in _WORDS.items()
}
Listed = Sequence[tuple[Parts, Path]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureFolder:
    """Decoded pictures of a folder, (count, height, width, channels) uint8 each, and what there is to say of them."""

    train: np.ndarray
    test: np.ndarray | None
    notes: tuple[str, ...]


def read_image_folder(folder: Path) -> PictureFolder:
    """All pictures below `folder` in the order of their paths; those to train and to test with apart if it says so.

    Folders that say training or testing are the two splits. No other folder whose name says that its pictures are not
    to be trained on is pooled with the rest.

    Raises:
        BadData: There are none, one cannot be decoded, sizes differ, names of folders do not tell which pictures are to
            be trained on, or a link leads out of the folder.
    """
    listing = list_pictures(folder)
    if not listing.pictures:
        held = f" but {_held(listing)}" if listing.left_out else ""
        raise BadData(
            f"{place(folder)}: must hold pictures ({', '.join(SUFFIXES[:3])} …) or train-images-idx3-ubyte[.gz], "
            f"but it holds neither{held}.{idx_advice(folder)}"
        )
    train, test = _parts(folder, listing.pictures)
    trained = decode_pictures(((place(file), file) for _, file in train), len(train))
    if not test:
        return PictureFolder(train=trained.images, test=None, notes=_notes(listing, trained.turned))
    tested = decode_pictures(((place(file), file) for _, file in test), len(test), beside_bytes=trained.images.nbytes)
    notes = _notes(listing, trained.turned + tested.turned)
    return PictureFolder(train=trained.images, test=tested.images, notes=notes)


def role_of(name: str) -> Role | None:
    """Part of a data set that a folder's name says it is."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((role for role, pattern in ROLES.items() if pattern.fullmatch(letters)), None)


def _parts(folder: Path, pictures: Listed) -> tuple[Listed, Listed]:
    """Pictures to train and to test with."""
    depth = _wrappers(pictures)
    names = sorted({parts[depth] for parts, _ in pictures if len(parts) > depth + 1})
    roles = {name: role for name in names if (role := role_of(name)) is not None}
    _refuse_names(folder, roles, pictures, depth)
    by_role: dict[str, list[tuple[Parts, Path]]] = {"train": [], "test": [], "beside": []}
    for parts, file in pictures:
        is_below = len(parts) > depth + 1
        by_role[roles.get(parts[depth], "beside") if is_below else "beside"].append((parts, file))
    _refuse_deeper([*by_role["train"], *by_role["beside"]], depth, folder)
    if not roles:
        return by_role["beside"], []
    if by_role["beside"]:
        known, beside = " and ".join(roles), by_role["beside"]
        raise BadData(
            f"{place(folder)}: there must be no pictures beside {known}, but {len(beside):,} are "
            f"(first: {place(Path(*beside[0][0]))}).\nMove them into one of them, or remove them."
        )
    return by_role["train"], by_role["test"]


def _wrappers(pictures: Listed) -> int:
    """Number of folders around all pictures that say nothing, as `mnist_png` around `training` and `testing`."""
    first = pictures[0][0]
    depth = 0
    while (
        depth < min(len(parts) for parts, _ in pictures) - 1
        and role_of(first[depth]) is None
        and all(parts[depth] == first[depth] for parts, _ in pictures)
    ):
        depth += 1
    return depth


def _refuse_names(folder: Path, roles: dict[str, Role], pictures: Listed, depth: int) -> None:
    """Refuse folders that do not tell which pictures are to be trained on, or that hold pictures out."""
    by_role = {role: [name for name, found in roles.items() if found == role] for role in ROLES}
    for role in ("train", "test"):
        if len(by_role[role]) > 1:
            raise BadData(
                f"{place(folder)}: one folder must say {role}, but {' and '.join(by_role[role])} do.\n"
                "Move their pictures into one of them."
            )
    if by_role["held out"]:
        name = by_role["held out"][0]
        count = sum(parts[depth] == name for parts, _ in pictures)
        train = (by_role["train"] or ["train"])[0]
        as_test = "" if by_role["test"] else ", rename it to test to have the test on them"
        others = "" if by_role["train"] else f" (and the others into {train})"
        a_class = "" if by_role["train"] or by_role["test"] else f" If it is a class, rename it to class_{name}."
        raise BadData(
            f"{place(folder)}: {name} says that its {count:,} pictures are not to be trained on, but images to choose "
            f"models by\nare drawn from {train} here. Move {name} out of the folder to leave them out{as_test},\n"
            f"or move them into {train}{others} to have all drawn from.{a_class}"
        )
    if by_role["test"] and not by_role["train"]:
        raise BadData(f"{place(folder)}: {by_role['test'][0]} needs pictures in train beside it, but there are none.")


def _refuse_deeper(pictures: Listed, depth: int, folder: Path) -> None:
    """Refuse folders further down that say that their pictures are not to be trained on, as `cats/test`."""
    for parts, _ in pictures:
        for end in range(depth + 1, len(parts) - 1):
            if role_of(parts[end]) in ("test", "held out"):
                name = printable("/".join(parts[: end + 1]), 200)
                raise BadData(
                    f"{place(folder)}: {name} says that its pictures are not to be trained on, but it lies among those "
                    "that are.\nSort the pictures into a folder train and a folder test, class folders inside; or "
                    f"rename it, to class_{printable(parts[end])} if it is a class."
                )


def _notes(listing: FolderListing, turned: int) -> tuple[str, ...]:
    notes = [turned_note(turned)] if turned else []
    if listing.left_out:
        count = sum(listing.left_out.values())
        notes.append(f"Left out, as no pictures by their endings: {count:,} files ({_held(listing)}).")
    if listing.linked_twice:
        notes.append(f"Not read twice, as links to folders that are read: {first_few(listing.linked_twice)}.")
    return tuple(notes)


def _held(listing: FolderListing) -> str:
    """Files that were left out, in words: `10 .jfif, 1 .csv`."""
    most = sorted(listing.left_out.items(), key=lambda item: (-item[1], item[0]))
    return first_few([f"{count:,} {ending}" for ending, count in most])
