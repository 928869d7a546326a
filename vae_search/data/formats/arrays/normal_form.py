"""Arrays as people keep them, brought into the form that is checked: axes, range, size."""

from dataclasses import replace

import numpy as np

from vae_search.data.formats.arrays.layout import in_order
from vae_search.data.formats.arrays.ranges import in_range
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.fitting import resized, resized_note
from vae_search.data.image_checks import refuse_too_large
from vae_search.spec.sections import Resize


def in_normal_form(found: Found, choices: Choices, *, where: str, by_columns: bool = False) -> Found:
    """The same images, axes and range as they are usually kept, and in the size that the spec asks for.

    Args:
        by_columns: they come from MATLAB.
    """
    ordered, axes = in_order(found.parts, by_columns=by_columns)
    parts, ranges = in_range(ordered)
    sizes: list[str] = []
    if (size := choices.resize) is not None:
        before = {images.shape[1:3] for images in parts.values()}
        parts = {role: _resized(images, size, choices, where) for role, images in parts.items()}
        sizes = [resized_note(size)] if before != {(size.height, size.width)} else []
    changed = Found.of(parts, notes=(*found.notes, *axes, *ranges, *sizes))
    return replace(changed, labels=found.labels, in_published_order=found.in_published_order)


def _resized(images: np.ndarray, size: Resize, choices: Choices, where: str) -> np.ndarray:
    if images.ndim not in (3, 4) or images.shape[1:3] == (size.height, size.width) or not images.size:
        return images  # what is no set of images is refused later
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        return images
    refuse_too_large((len(images), size.height, size.width, *images.shape[3:]), images.itemsize, where=where)
    scaled = np.empty((len(images), size.height, size.width, *images.shape[3:]), images.dtype)
    for target, image in zip(scaled, images, strict=True):
        target[...] = resized(image, size, ground=255 if choices.background == "white" else 0)
    return scaled
