"""Ranges of pixels: floats in [-1, 1] and in 0 … 255 and 16-bit numbers are told apart by their least and greatest."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from vae_search.data.formats.roles import Role
from vae_search.data.image_checks import blocks
from vae_search.data.random_access.mapped_images import Keep, in_memory
from vae_search.errors import BadData

Parts = Mapping[Role, np.ndarray] | Mapping[str, np.ndarray]
Name = TypeVar("Name", bound=str)
CENTRED, FLOAT_BYTES = "[-1, 1]", "0 … 255"
"""scalings of floats; those of whole numbers are called `12 bits`, `14 bits` and `16 bits`"""
CENTRED_NOTE = "The pixels lay in [-1, 1]: (x + 1) / 2 was read."
BYTES_AS_FLOATS = "The pixels were floats in 0 … 255: they were divided by 255."
DEEP = "The pixels had {} bits, with white at {:,}: the highest eight were read."
CENTRED_ENDS = 0.9  # that pixels in [-1, 1] reach on both sides; what does not may be in [-0.5, 0.5] or standardised
DEPTHS = (12, 14, 16)  # bits of cameras and scanners, in files of 16
BITS = {f"{depth} bits": depth for depth in DEPTHS}
BYTE = 255
TOLERANCE = 4  # units of the last place that scaling may have cost
MOST_TOLERANCE = 0.05  # grey levels; of half precision, four units are a whole one


def scaling_of(parts: Parts) -> str | None:
    """Scaling of images, told by their least and greatest pixel; None if they are read as they are.

    All parts are judged together; what is in no range that is known stays as it is, and is checked later.
    """
    low, high = _extremes(parts)
    if _all_floats(parts):
        if -1 <= low <= -CENTRED_ENDS and CENTRED_ENDS <= high <= 1:
            return CENTRED
        if low >= 0 and BYTE // 2 < high <= BYTE:
            return FLOAT_BYTES
    if _all_deep(parts) and high >= 1 << 10:
        return next(name for name, depth in BITS.items() if high < 1 << depth)
    return None


def scaling_like(parts: Parts, known: str | None, *, where: str) -> str | None:
    """Scaling of new images for a model; that of its own images, `known`, wherever it fits the type of the new ones.

    A few dark images do not reach the ends that theirs is told by.

    Raises:
        BadData: The images lie outside of the range that the model's have, or it is not clear in which of two they lie.
    """
    if known is None:
        return scaling_of(parts)
    low, high = _extremes(parts)
    if known in BITS and _all_deep(parts):
        white = (1 << BITS[known]) - 1
        if high > white:
            raise BadData(
                f"{where}: the model's images have {known}, white being {white:,}, but these reach {high:,.0f}.\n"
                "Divide them by their own white, and save them as floats in [0, 1]."
            )
        return known
    if known == CENTRED and _all_floats(parts):
        if low >= 0 and high <= 1:
            raise BadData(
                f"{where}: the model's images lie in [-1, 1], but these in [{low:.3g}, {high:.3g}]: they may be in "
                "[-1, 1] or [0, 1].\nSave them as uint8 in 0 … 255."
            )
        if low >= -1 and high <= 1:
            return known
    if known == FLOAT_BYTES and _all_floats(parts) and low >= 0 and 1 < high <= BYTE:
        return known
    return scaling_of(parts)


def refuse_unscaled(dtype: np.dtype, known: str | None, *, where: str) -> None:
    """Refuse new images that are not scaled, since they are resized first or a package gives them, if a model's were.

    Raises:
        BadData: They have the type of the model's images.
    """
    if known is not None and (dtype == np.uint16 if known in BITS else dtype.kind == "f"):
        found = f"have {known}" if known in BITS else f"lie in {known}"
        raise BadData(
            f"{where}: the model's images {found}, and from that only images are brought that fit in memory.\n"
            "Save these as uint8 in 0 … 255, or give some of them."
        )


def scaled_where_kept(
    parts: Mapping[str, np.ndarray], known: str | None, keeps: Mapping[str, Keep], *, where: str
) -> tuple[Mapping[str, np.ndarray], str | None]:
    """The same as `scaling_like` and `in_range`, for images that are kept outside of memory; and their scaling.

    Args:
        keeps: put the pixels of each part where there is room for all of them.

    Raises:
        BadData: As for `scaling_like`.
    """
    scaling = scaling_like(parts, known, where=where)
    return parts if scaling is None else _scaled(parts, scaling, keeps), scaling


def note_of(scaling: str) -> str:
    """Sentence on what was changed."""
    if scaling in BITS:
        return DEEP.format(BITS[scaling], (1 << BITS[scaling]) - 1)
    return CENTRED_NOTE if scaling == CENTRED else BYTES_AS_FLOATS


def in_range(parts: Mapping[Role, np.ndarray], scaling: str | None) -> tuple[dict[Role, np.ndarray], list[str]]:
    """Images by part, brought from a scaling into a range that is checked later, and sentences on what was changed."""
    if scaling is None:
        return dict(parts), []
    return _scaled(parts, scaling, dict.fromkeys(parts, in_memory)), [note_of(scaling)]


def _scaled(parts: Mapping[Name, np.ndarray], scaling: str, keeps: Mapping[Name, Keep]) -> dict[Name, np.ndarray]:
    if scaling in BITS:
        return {name: _shifted(images, BITS[scaling] - 8, keeps[name]) for name, images in parts.items()}
    factor, offset = (127.5, 127.5) if scaling == CENTRED else (1.0, 0.0)
    return {name: _bytes_if_exact(images, factor, offset, keeps[name]) for name, images in parts.items()}


def _bytes_if_exact(images: np.ndarray, factor: float, offset: float, keep: Keep) -> np.ndarray:
    """images · factor + offset as uint8 if these are whole numbers but for rounding, else in [0, 1] as float32.

    Block by block in two passes, so that nothing but the result is held.
    """
    tolerance = min(MOST_TOLERANCE, TOLERANCE * BYTE * float(np.finfo(images.dtype).eps))

    def values(block: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = block.astype(np.float64) * factor + offset
        return scaled

    if all((np.abs(values(block) - np.rint(values(block))) <= tolerance).all() for block in blocks(images)):
        rounded = (np.rint(values(block).astype(np.float32)).astype(np.uint8) for block in blocks(images))
        return keep(rounded, images.shape, np.dtype(np.uint8))
    shares = (np.clip(values(block).astype(np.float32) / np.float32(BYTE), 0, 1) for block in blocks(images))
    return keep(shares, images.shape, np.dtype(np.float32))


def _all_floats(parts: Parts) -> bool:
    return all(images.dtype.kind == "f" for images in parts.values())


def _all_deep(parts: Parts) -> bool:
    return all(images.dtype == np.uint16 for images in parts.values())


def _extremes(parts: Parts) -> tuple[float, float]:
    numbers = [images for images in parts.values() if images.size and images.dtype.kind in "buif"]
    if not numbers:
        return 0.0, 0.0
    return min(float(images.min()) for images in numbers), max(float(images.max()) for images in numbers)


def _shifted(images: np.ndarray, by: int, keep: Keep) -> np.ndarray:
    return keep(((block >> by).astype(np.uint8) for block in blocks(images)), images.shape, np.dtype(np.uint8))
