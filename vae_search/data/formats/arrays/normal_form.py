"""Arrays as people keep them, brought into the form that is checked: axes, range, size."""

from dataclasses import replace
from functools import partial

import numpy as np

from vae_search.data.formats.arrays.layout import in_order, order_of
from vae_search.data.formats.arrays.ranges import in_range, refuse_unscaled, scaling_like
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import AnyImages, Found
from vae_search.data.formats.pictures.fitting import resized, resized_note
from vae_search.data.formats.roles import Role
from vae_search.data.image_checks import refuse_too_large
from vae_search.data.random_access.derived_readers import ChangedReader
from vae_search.data.random_access.image_reader import ImageReader, as_reader
from vae_search.spec.sections import Resize


def in_normal_form(found: Found, choices: Choices, *, where: str) -> Found:
    """The same images, axes and range as they are usually kept, and in the size that the spec asks for."""
    arrays = {role: part for role, part in found.parts.items() if isinstance(part, np.ndarray)}
    if len(arrays) < len(found.parts):
        return _read_in_ranges(found, choices, where=where)
    ordered, axes = in_order(arrays)
    scaling = scaling_like(ordered, choices.scaling, where=where)
    parts, ranges = in_range(ordered, scaling)
    sizes: list[str] = []
    if (size := choices.resize) is not None:
        before = {images.shape[1:3] for images in parts.values()}
        parts = {role: _resized(images, size, choices, where) for role, images in parts.items()}
        sizes = [resized_note(size)] if before != {(size.height, size.width)} else []
    return replace(found.changed(parts, (*axes, *ranges, *sizes)), scaling=scaling)


def _read_in_ranges(found: Found, choices: Choices, *, where: str) -> Found:
    """Images that do not fit in memory: what can be done image by image is done when they are read.

    Readers count their images along the first axis, whoever wrote the file.
    """
    parts: dict[Role, AnyImages] = {}
    notes: list[str] = []
    reader: ImageReader
    for role, part in found.parts.items():
        if isinstance(part, np.ndarray):
            ordered, axes = in_order({role: part})
            reader, notes = as_reader(ordered[role]), [*notes, *axes]
        else:
            if choices.resize is not None:  # what has another size now was scaled before
                refuse_unscaled(part.dtype, choices.scaling, where=where)
            reader, order = part, order_of(part.shape)
            if order.change is not None and order.counted == 0:
                reader, notes = ChangedReader(reader, order.change), [*notes, order.note]
        if (size := choices.resize) is not None and reader.shape[1:3] != (size.height, size.width):
            reader = ChangedReader(reader, partial(_resized, size=size, choices=choices, where=where))
            notes.append(resized_note(size))
        parts[role] = reader
    changed = found.changed(parts, tuple(dict.fromkeys(notes)))
    return changed if choices.resize is not None else replace(changed, scaling=choices.scaling, is_unscaled=True)


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
