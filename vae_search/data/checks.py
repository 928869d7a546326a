"""Is this array a set of images that a VAE can be trained on? Checked once, before anything starts."""

from dataclasses import dataclass

import numpy as np

from vae_search.errors import BadData

CHANNELS = (1, 3)
SIDES_PIXELS = (4, 512)
FEWEST_IMAGES = 80  # train, select, judge and test each need some
MOST_BYTES = 8 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Checked images: intensity = pixels / scale, in [0, 1].

    pixels: (n, height, width, channels), uint8 where the intensities are whole multiples of 1 / scale, else float32.
    """

    pixels: np.ndarray
    scale: float


def check_images(array: np.ndarray, *, where: str, whole_scale: int = 255, fewest: int = FEWEST_IMAGES) -> Images:
    """Check raw images and bring them into one form.

    Args:
        array: (n, height, width) or (n, height, width, channels), any numeric type.
        where: the place that messages name.
        whole_scale: the intensity 1 of whole-numbered pixels.

    Raises:
        BadData: Naming the place, what must hold, what was found and what to do.
    """
    if array.dtype.hasobject:
        raise BadData(f"{where}: must hold numbers, but holds Python objects. Save one numeric array.")
    if array.dtype.kind not in "buif":
        raise BadData(f"{where}: must hold numbers, but holds {array.dtype}. Save uint8 0..255 or floats in [0, 1].")
    images = _with_channels(array, where)
    count, height, width, _ = images.shape
    if count < fewest:
        raise BadData(f"{where}: must hold at least {fewest} images, but got {count}. Add images.")
    low, high = SIDES_PIXELS
    if not (low <= height <= high and low <= width <= high):
        raise BadData(
            f"{where}: images must be {low} to {high} pixels on a side, but are {height}×{width}. Resize them."
        )
    found = _whole(images, where, whole_scale) if array.dtype.kind in "bui" else _real(images, where)
    if found.pixels.min() == found.pixels.max():
        raise BadData(
            f"{where}: all pixels of all images are {found.pixels.flat[0] / found.scale:g}. Nothing can be learned."
        )
    return found


def check_size(shape: tuple[int, ...], item_bytes: int, *, where: str) -> None:
    """Refuse what would not fit into memory before it is decoded.

    Raises:
        BadData: The decoded array would be larger than `MOST_BYTES`.
    """
    size = item_bytes
    for side in shape:
        size *= int(side)
    if size > MOST_BYTES:
        raise BadData(
            f"{where}: must be at most {MOST_BYTES / 1024**3:.0f} GiB when decoded, but declares "
            f"{size / 1024**3:,.0f} GiB (shape {shape}). Use fewer or smaller images."
        )


def _with_channels(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim == 3:
        return array[..., None]
    if array.ndim != 4:
        raise BadData(
            f"{where}: must have shape (n, height, width) or (n, height, width, channels), but has {array.shape}. "
            "Reshape it."
        )
    if array.shape[-1] not in CHANNELS:
        if array.shape[1] in CHANNELS:
            raise BadData(
                f"{where}: channels must come last, but shape {array.shape} has them first. "
                "Save array.transpose(0, 2, 3, 1)."
            )
        raise BadData(f"{where}: must have 1 or 3 channels, but shape {array.shape} has {array.shape[-1]}.")
    return array


def _whole(images: np.ndarray, where: str, scale: int) -> Images:
    if images.dtype == bool:
        return Images(pixels=images.astype(np.uint8), scale=1.0)
    least, most = int(images.min()), int(images.max())
    if least < 0 or most > scale:
        raise BadData(
            f"{where}: whole-numbered pixels must lie within 0..{scale}, but range over {least}..{most}. Rescale them."
        )
    # 0/1 images in whole numbers are black and white, not nearly black.
    return Images(pixels=images.astype(np.uint8), scale=1.0 if most == 1 else float(scale))


def _real(images: np.ndarray, where: str) -> Images:
    finite = np.isfinite(images).all(axis=(1, 2, 3))
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise BadData(
            f"{where}: {len(bad)} of {len(images)} images hold NaN or infinity (first: image {bad[0]}). "
            "Repair or remove them."
        )
    least, most = float(images.min()), float(images.max())
    if least < 0.0 or most > 1.0:
        advice = (
            "Save (x + 1) / 2."
            if least >= -1.0 and most <= 1.0
            else "Divide by 255."
            if least >= 0.0
            else "Rescale them."
        )
        raise BadData(f"{where}: real pixels must lie within [0, 1], but range over [{least:g}, {most:g}]. {advice}")
    levels = images.astype(np.float32) * np.float32(255)
    nearest = np.rint(levels)
    if np.abs(levels - nearest).max() < 1e-3:  # 8-bit images that somebody divided by 255: a quarter of the memory
        return Images(pixels=nearest.astype(np.uint8), scale=255.0)
    return Images(pixels=images.astype(np.float32), scale=1.0)
