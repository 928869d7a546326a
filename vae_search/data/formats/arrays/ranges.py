"""Ranges of pixels: floats in [-1, 1] and in 0 … 255 and 16-bit numbers are told apart by their least and greatest."""

from collections.abc import Mapping

import numpy as np

from vae_search.data.formats.roles import Role
from vae_search.data.image_checks import blocks

CENTRED = "The pixels lay in [-1, 1]: (x + 1) / 2 was read."
BYTES_AS_FLOATS = "The pixels were floats in 0 … 255: they were divided by 255."
DEEP = "The pixels had {} bits, with white at {:,}: the highest eight were read."
CENTRED_ENDS = 0.9  # that pixels in [-1, 1] reach on both sides; what does not may be in [-0.5, 0.5] or standardised
DEPTHS = (12, 14, 16)  # bits of cameras and scanners, in files of 16
BYTE = 255
TOLERANCE = 4  # units of the last place that scaling may have cost
MOST_TOLERANCE = 0.05  # grey levels; of half precision, four units are a whole one


def in_range(parts: Mapping[Role, np.ndarray]) -> tuple[dict[Role, np.ndarray], list[str]]:
    """Images by part in a range that is checked later, and sentences on what was changed.

    All parts are judged together; what is in no range that is known stays as it is.
    """
    low, high = _extremes(parts)
    kinds = {images.dtype.kind for images in parts.values()}
    if kinds == {"f"}:
        if -1 <= low <= -CENTRED_ENDS and CENTRED_ENDS <= high <= 1:
            return {role: _bytes_if_exact(images, 127.5, 127.5) for role, images in parts.items()}, [CENTRED]
        if low >= 0 and BYTE // 2 < high <= BYTE:
            return {role: _bytes_if_exact(images, 1, 0) for role, images in parts.items()}, [BYTES_AS_FLOATS]
    if all(images.dtype == np.uint16 for images in parts.values()) and high >= 1 << 10:
        bits = next(depth for depth in DEPTHS if high < 1 << depth)
        shifted = {role: _shifted(images, bits - 8) for role, images in parts.items()}
        return shifted, [DEEP.format(bits, (1 << bits) - 1)]
    return dict(parts), []


def _extremes(parts: Mapping[Role, np.ndarray]) -> tuple[float, float]:
    numbers = [images for images in parts.values() if images.size and images.dtype.kind in "buif"]
    if not numbers:
        return 0.0, 0.0
    return min(float(images.min()) for images in numbers), max(float(images.max()) for images in numbers)


def _bytes_if_exact(images: np.ndarray, factor: float, offset: float) -> np.ndarray:
    """images · factor + offset as uint8 if these are whole numbers but for rounding, else in [0, 1] as float32."""
    tolerance = min(MOST_TOLERANCE, TOLERANCE * BYTE * float(np.finfo(images.dtype).eps))
    scaled = np.empty(images.shape, np.float32)
    exact = True
    for target, block in zip(blocks(scaled), blocks(images), strict=True):
        values = block.astype(np.float64) * factor + offset
        exact = exact and bool((np.abs(values - np.rint(values)) <= tolerance).all())
        target[...] = values
    if not exact:
        scaled /= BYTE
        return np.clip(scaled, 0, 1, out=scaled)
    pixels = np.empty(images.shape, np.uint8)
    for target, block in zip(blocks(pixels), blocks(scaled), strict=True):
        target[...] = np.rint(block)
    return pixels


def _shifted(images: np.ndarray, by: int) -> np.ndarray:
    pixels = np.empty(images.shape, np.uint8)
    for target, block in zip(blocks(pixels), blocks(images), strict=True):
        target[...] = block >> by
    return pixels
