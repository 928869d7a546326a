"""Decoded parts of a set of pictures: damage, ground and colour are judged over all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from vae_search.core.text import first_few
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import AnyImages
from vae_search.data.formats.pictures.damage import MOST_NAMED, damage
from vae_search.data.formats.pictures.encoded_images import Decoded, PictureSet, decode_set, survey_set
from vae_search.data.formats.pictures.fitting import resized_note
from vae_search.data.formats.pictures.modes import Ground
from vae_search.data.formats.pictures.streaming import PictureStream
from vae_search.data.formats.roles import Role
from vae_search.errors import BadData

FIRST_FEW = 8
BRIGHT_SHARE = 0.01  # of the visible pixels; if no more could be seen on black, pictures are laid on white


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedParts:
    """Images by part, all grey or all in colour.

    Args:
        kept: positions of the pictures that could be decoded, by part.
        notes: sentences on what was changed or left out.
    """

    images: Mapping[Role, AnyImages]
    kept: Mapping[Role, np.ndarray]
    notes: tuple[str, ...]


def decode_parts(sets: Mapping[Role, PictureSet], choices: Choices, *, held_bytes: int) -> DecodedParts:
    """Decode the pictures of every part, or hand them over in ranges if they do not fit in memory.

    Args:
        held_bytes: most that fits.

    Raises:
        BadData: Some cannot be decoded, and the spec does not say that they may be left out; or as `decode_set`.
    """
    ground: Ground = choices.background or "black"
    where = next(iter(sets.values())).where
    is_large = all(pictures.in_order for pictures in sets.values()) and _likely_bytes(sets, choices) > held_bytes
    parts = _decode(sets, choices, ground, is_large=is_large)
    if is_large and any(part.damaged for part in parts.values()):  # by their headers: there may be more
        parts = _decode(sets, replace(choices, skip_damaged=True), ground, is_large=True)
    damaged = [name.removeprefix(f"{where}: ") for part in parts.values() for name in part.damaged]
    count = sum(pictures.count for pictures in sets.values())
    if damaged and not choices.skip_damaged:
        raise BadData(damage(damaged, count, next(part.reason for part in parts.values() if part.reason), where))
    if any(len(part.images) == 0 for part in parts.values()):
        raise BadData(f"{where}: must hold pictures, but none of a part can be decoded.")
    visible, bright = (sum(getattr(part, name) for part in parts.values()) for name in ("visible", "bright"))
    if choices.background is None and bright < BRIGHT_SHARE * visible:
        ground = "white"
        parts = _decode(sets, choices, ground, is_large=is_large)
    channels = max(part.images.shape[3] for part in parts.values())
    images: dict[Role, AnyImages] = {}
    for role, part in parts.items():
        if is_large:
            images[role] = PictureStream(sets[role], part, channels=channels, choices=choices, ground=ground)
        else:
            images[role] = part.images if part.images.shape[3] == channels else np.repeat(part.images, channels, axis=3)
    kept = {role: np.array(part.kept) for role, part in parts.items()}
    return DecodedParts(images=images, kept=kept, notes=_notes(parts, damaged, count, ground, choices))


def _likely_bytes(sets: Mapping[Role, PictureSet], choices: Choices) -> int:
    """Bytes that all pictures take if they are in colour, and as large as the first that can be decoded.

    One in colour makes the others so. 0 if none of the first few can be decoded.
    """
    count = sum(pictures.count for pictures in sets.values())
    for pictures in sets.values():
        for picture in islice(pictures.each(), FIRST_FEW):
            one = PictureSet(where=pictures.where, count=1, each=partial(list, [picture]))
            if len(images := decode_set(one, choices, ground="black").images):
                return count * images.nbytes * (3 if images.shape[3] == 1 and images.dtype == np.uint8 else 1)
    return 0


def _decode(
    sets: Mapping[Role, PictureSet], choices: Choices, ground: Ground, *, is_large: bool
) -> dict[Role, Decoded]:
    parts: dict[Role, Decoded] = {}
    for role, pictures in sets.items():
        if is_large:
            parts[role] = survey_set(pictures, choices, ground=ground)
            continue
        held = sum(part.images.nbytes for part in parts.values())
        parts[role] = decode_set(pictures, choices, ground=ground, beside_bytes=held)
    return parts


def _notes(
    parts: Mapping[Role, Decoded], damaged: list[str], count: int, ground: Ground, choices: Choices
) -> tuple[str, ...]:
    turned, transparent, fitted = (
        sum(getattr(part, name) for part in parts.values()) for name in ("turned", "transparent", "fitted")
    )
    notes = []
    if turned:
        notes.append(f"Set upright, or mirrored, as their EXIF orientation says: {turned:,} pictures.")
    if transparent:
        other = "black" if ground == "white" else "white"
        notes.append(
            f"Laid on {ground}, as they are transparent: {transparent:,} pictures (else data.background: {other})."
        )
    if fitted and choices.resize is not None:
        notes.append(resized_note(choices.resize))
    if damaged:
        notes.append(f"Left out as damaged: {len(damaged):,} of {count:,} pictures ({first_few(damaged, MOST_NAMED)}).")
    return tuple(notes)
