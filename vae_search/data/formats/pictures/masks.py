"""Masks and label pictures beside the pictures that they belong to, and parts that names of files say."""

import re
from collections.abc import Collection, Sequence

from vae_search.core.text import printable
from vae_search.data.formats.pictures.parts import Parts
from vae_search.data.formats.roles import role_within, words_of

_PART = "(?:train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)?"
_IMAGE = "(?:jpeg|png)?(?:images?|imgs?|pictures?|photos?|frames?|scans?|inputs?|originals?)"
_MASK = (
    "(?:masks?|labels?|annotations?|annots?|seg(?:s|mentations?)?(?:class|object|maps?|masks?)?|ground_?truths?|gts?)"
)
_IMAGE_FOLDER, _MASK_FOLDER = (re.compile(f"{_PART}(?:{word})") for word in (_IMAGE, _MASK))
# `a_mask.png` beside `a.png`, also `a_mask_1.png`; and `mask_7.png` beside `image_7.png`.
_BEHIND = re.compile(rf"(?P<base>.+?)[-_. ]{_MASK}(?:[-_. ]?[0-9]+)?", re.IGNORECASE)
_BEFORE = re.compile(rf"{_MASK}(?P<base>[-_. ]?[0-9].*)", re.IGNORECASE)
_BEFORE_IMAGE = re.compile(rf"{_IMAGE}(?P<base>[-_. ]?[0-9].*)", re.IGNORECASE)


def without_masks(pictures: Sequence[Parts]) -> tuple[list[int], tuple[str, ...]]:
    """Positions of pictures that are no masks of others, and a sentence on those that are.

    Masks lie in a folder beside one of images, or in one beside the pictures themselves that are called as these are;
    or they are called as a picture of the same folder with `_mask` behind it.

    Args:
        pictures: their paths.
    """
    folders = {parts[:-1] for parts in pictures}
    around_images = {
        folder[:depth] for folder in folders for depth, name in enumerate(folder) if _says(_IMAGE_FOLDER, name)
    }
    of_masks = {
        folder
        for folder in folders
        if any(folder[:depth] in around_images and _says(_MASK_FOLDER, name) for depth, name in enumerate(folder))
    }
    stems = {(parts[:-1], _stem(parts)) for parts in pictures}
    of_masks |= _called_as_those_around(stems)
    numbered = {
        (folder, found["base"]) for folder, stem in stems if (found := _BEFORE_IMAGE.fullmatch(stem)) is not None
    }
    kept: list[int] = []
    left: list[int] = []
    for position, parts in enumerate(pictures):
        folder, stem = parts[:-1], _stem(parts)
        behind, before = _BEHIND.fullmatch(stem), _BEFORE.fullmatch(stem)
        is_mask = (
            folder in of_masks
            or (behind is not None and (folder, behind["base"]) in stems)
            or (before is not None and (folder, before["base"]) in numbered)
        )
        (left if is_mask else kept).append(position)
    if not left:
        return kept, ()
    first = printable("/".join(pictures[left[0]]), 200)
    return kept, (
        f"Left out, as masks or labels of other pictures by their names: {len(left):,} files (first: {first}). "
        "To train on them, move them into a folder of their own, and give that.",
    )


def _called_as_those_around(stems: Collection[tuple[Parts, str]]) -> set[Parts]:
    """Folders of masks among the pictures that they belong to: each is called as one of those, `_mask` left out."""
    names: dict[Parts, set[str]] = {}
    for folder, stem in stems:
        names.setdefault(folder, set()).add(stem)
    return {
        folder
        for folder, own in names.items()
        if folder
        and _says(_MASK_FOLDER, folder[-1])
        and (around := names.get(folder[:-1]))
        and all(stem in around or _without_mask(stem) in around for stem in own)
    }


def _without_mask(stem: str) -> str:
    behind = _BEHIND.fullmatch(stem)
    return stem if behind is None else behind["base"]


def part_names_note(pictures: Sequence[Parts]) -> tuple[str, ...]:
    """Sentence on names of files that say parts, as `train_1.png` and `test_1.png` do, where folders say none."""
    first: dict[str, str] = {}
    for parts in pictures:
        words = words_of(_stem(parts)[:40])
        if words and (role := role_within(words[0])) is not None:
            first.setdefault(role, parts[-1])
    if "train" not in first or len(first) == 1:
        return ()
    names = " and ".join(printable(name, 100) for name in first.values())
    folders = " and ".join(first)
    return (
        f"Names such as {names} were not read as parts: all pictures are pooled, and parts are drawn from them. "
        f"Sort them into folders {folders} if they are parts.",
    )


def _says(pattern: re.Pattern[str], name: str) -> bool:
    return pattern.fullmatch(re.sub(r"[^a-z]", "", name.lower())) is not None


def _stem(parts: Parts) -> str:
    return parts[-1].rpartition(".")[0]
