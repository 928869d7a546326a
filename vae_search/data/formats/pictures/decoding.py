"""Decoded parts of a set of pictures: damage, ground and colour are judged over all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vae_search.core.text import first_few
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.pictures.encoded_images import Decoded, PictureSet, decode_set, room_for
from vae_search.data.formats.pictures.fitting import resized_note
from vae_search.data.formats.pictures.modes import Ground
from vae_search.data.formats.roles import Role
from vae_search.errors import BadData

MOST_NAMED = 8
BRIGHT_SHARE = 0.01  # of the visible pixels; if no more could be seen on black, pictures are laid on white


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedParts:
    """Images by part, all grey or all in colour.

    Args:
        kept: positions of the pictures that could be decoded, by part.
        notes: sentences on what was changed or left out.
    """

    images: Mapping[Role, np.ndarray]
    kept: Mapping[Role, np.ndarray]
    notes: tuple[str, ...]


def decode_parts(sets: Mapping[Role, PictureSet], choices: Choices) -> DecodedParts:
    """Decode the pictures of every part.

    Raises:
        BadData: Some cannot be decoded, and the spec does not say that they may be left out; or as `decode_set`.
    """
    ground: Ground = choices.background or "black"
    where = next(iter(sets.values())).where
    parts = _decode(sets, choices, ground)
    damaged = [name.removeprefix(f"{where}: ") for part in parts.values() for name in part.damaged]
    count = sum(pictures.count for pictures in sets.values())
    if damaged and not choices.skip_damaged:
        raise BadData(_damage(damaged, count, parts, where))
    if any(len(part.images) == 0 for part in parts.values()):
        raise BadData(f"{where}: must hold pictures, but none of a part can be decoded.")
    visible, bright = (sum(getattr(part, name) for part in parts.values()) for name in ("visible", "bright"))
    if choices.background is None and bright < BRIGHT_SHARE * visible:
        ground = "white"
        parts = _decode(sets, choices, ground)
    channels = max(part.images.shape[3] for part in parts.values())
    images = {role: _in_channels(part.images, channels, choices, where) for role, part in parts.items()}
    kept = {role: np.array(part.kept) for role, part in parts.items()}
    return DecodedParts(images=images, kept=kept, notes=_notes(parts, damaged, count, ground, choices))


def _in_channels(images: np.ndarray, channels: int, choices: Choices, where: str) -> np.ndarray:
    if images.shape[3] == channels:
        return images
    wide = room_for(choices, (*images.shape[:3], channels), images.dtype, where, images.nbytes)
    wide[...] = images
    return wide


def _decode(sets: Mapping[Role, PictureSet], choices: Choices, ground: Ground) -> dict[Role, Decoded]:
    parts: dict[Role, Decoded] = {}
    for role, pictures in sets.items():
        held = sum(part.images.nbytes for part in parts.values())
        parts[role] = decode_set(pictures, choices, ground=ground, beside_bytes=held)
    return parts


def _damage(damaged: list[str], count: int, parts: Mapping[Role, Decoded], where: str) -> str:
    if len(damaged) == 1:
        reason = next(part.reason for part in parts.values() if part.reason)
        return f"{reason}\nGet it again, remove it, or set data.skip_damaged: true to leave it out."
    return (
        f"{where}: {len(damaged):,} of {count:,} pictures cannot be decoded: {first_few(damaged, MOST_NAMED)}.\n"
        "Get them again, remove them, or set data.skip_damaged: true to leave them out."
    )


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
