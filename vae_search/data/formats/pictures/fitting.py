"""Pictures of any size brought to one, antialiased."""

import numpy as np
from PIL import Image

from vae_search.spec.sections import Resize

SMALL, USUAL = 32, 64  # pixels of the size that is proposed
FITS = {"crop": "cut evenly to its proportions", "pad": "padded evenly to its proportions", "stretch": "stretched"}


def resized(image: np.ndarray, size: Resize, *, ground: float = 0) -> np.ndarray:
    """An image (height, width) or (height, width, channels), uint8 or float, at this size.

    Args:
        ground: what is added by `pad`.
    """
    if image.ndim == 3:
        return np.stack([resized(image[..., channel], size, ground=ground) for channel in range(image.shape[2])], -1)
    is_float = image.dtype.kind == "f"
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32 if is_float else np.uint8))
    box = _crop_box(picture.size, size) if size.fit == "crop" else None
    inner = _inner(picture.size, size) if size.fit == "pad" else (size.width, size.height)
    scaled = np.asarray(picture.resize(inner, Image.Resampling.LANCZOS, box))
    if is_float:
        scaled = np.clip(scaled, image.min(), image.max())  # what antialiasing throws beyond the ends
    if scaled.shape == (size.height, size.width):
        return scaled.astype(image.dtype)
    padded = np.full((size.height, size.width), ground, image.dtype)
    top, left = (size.height - inner[1]) // 2, (size.width - inner[0]) // 2
    padded[top : top + inner[1], left : left + inner[0]] = scaled
    return padded


def resized_note(size: Resize) -> str:
    """Sentence on a size that images were brought to."""
    return f"Brought to {size.height}×{size.width}: what had another shape was {FITS[size.fit]}."


def resize_advice(height: int, width: int) -> str:
    """Key that brings pictures, one of which has this size, to one size."""
    side = USUAL if min(height, width) >= USUAL else SMALL
    return f"Set data.resize: {{height: {side}, width: {side}, fit: crop}} (or pad, or stretch)."


def _crop_box(found: tuple[int, int], size: Resize) -> tuple[float, float, float, float]:
    """The largest part in the middle that has the wanted proportions."""
    width, height = found
    factor = min(width / size.width, height / size.height)
    inner_width, inner_height = factor * size.width, factor * size.height
    left, top = (width - inner_width) / 2, (height - inner_height) / 2
    return left, top, min(left + inner_width, width), min(top + inner_height, height)


def _inner(found: tuple[int, int], size: Resize) -> tuple[int, int]:
    """The largest (width, height) with the proportions that the picture has."""
    width, height = found
    factor = min(size.width / width, size.height / height)
    return min(size.width, max(1, round(width * factor))), min(size.height, max(1, round(height * factor)))
