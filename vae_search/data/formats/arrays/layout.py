"""Axes of image arrays: what is counted last, has its channels first or is flat becomes (count, height, width, …)."""

from collections.abc import Callable, Mapping

import numpy as np

from vae_search.data.formats.arrays.naming import flat_shape
from vae_search.data.formats.roles import Role
from vae_search.data.image_checks import CHANNELS, LARGEST, SMALLEST
from vae_search.data.splits import LEAST_PART, LEAST_TRAIN

FEWEST = LEAST_TRAIN + 2 * LEAST_PART  # images that anything can be trained on
COUNTED_LAST = "The images were counted last: (height, width, count) was read as (count, height, width)."
COLOURS_COUNTED_LAST = "The images were counted last: (height, width, channels, count) was read so."
CHANNELS_FIRST = "The channels came first: (count, channels, height, width) was read so."
PLANES_COUNTED_LAST = (
    "The images were counted last, their channels first: (channels, height, width, count) was read so."
)
FLAT = "Each row of {} numbers was read as an image of {}×{}."
FLAT_COLUMNS = "Each column of {} numbers was read as an image of {}×{}, column by column, as MATLAB keeps it."


def in_order(parts: Mapping[Role, np.ndarray], *, by_columns: bool = False) -> tuple[dict[Role, np.ndarray], list[str]]:
    """Images by part with their axes in the usual order, and sentences on what was changed.

    What is in the usual order, or in none that is known, stays as it is.

    Args:
        by_columns: they come from MATLAB, which keeps flat images in columns.
    """
    ordered, notes = {}, []
    for role, images in parts.items():
        ordered[role], note = _in_order(images, by_columns=by_columns)
        if note and note not in notes:
            notes.append(note)
    return ordered, notes


def _in_order(images: np.ndarray, *, by_columns: bool) -> tuple[np.ndarray, str]:
    match images.ndim:
        case 2:
            return _from_flat(images, by_columns=by_columns)
        case 3 if _is_counted_last(images.shape, by_columns=by_columns):
            return np.moveaxis(images, -1, 0), COUNTED_LAST
        case 4:
            return _from_four(images)
        case _:
            return images, ""


def _is_counted_last(shape: tuple[int, ...], *, by_columns: bool) -> bool:
    """True if (height, width, count) can be meant and (count, height, width) cannot: of squares, or from MATLAB."""
    if shape[0] != shape[1] and not by_columns:
        return False
    usual = len(_sides(shape[1:])) == 2 and shape[0] >= FEWEST
    return not usual and len(_sides(shape[:2])) == 2 and shape[2] >= FEWEST


def _from_four(images: np.ndarray) -> tuple[np.ndarray, str]:
    first, second, third, last = images.shape
    if last in CHANNELS and len(_sides((second, third))) == 2:
        return images, ""
    if second in CHANNELS and len(_sides((third, last))) == 2:
        return np.moveaxis(images, 1, -1), CHANNELS_FIRST
    if third in CHANNELS and len(_sides((first, second))) == 2:
        return np.moveaxis(images, -1, 0), COLOURS_COUNTED_LAST
    if first in CHANNELS and len(_sides((second, third))) == 2:
        return np.moveaxis(images, (-1, 0), (0, -1)), PLANES_COUNTED_LAST
    return images, ""


def _from_flat(images: np.ndarray, *, by_columns: bool) -> tuple[np.ndarray, str]:
    rows, columns = (flat_shape(size) for size in (images.shape[1], images.shape[0]))
    if by_columns and columns is not None and columns[2] == 1:
        height, width, _ = columns
        square = images.T.reshape(-1, width, height).swapaxes(1, 2)
        return square, FLAT_COLUMNS.format(images.shape[0], height, width)
    if rows is None or rows[2] != 1:  # of colours nobody knows whether all of red comes first
        return images, ""
    height, width, _ = rows
    return images.reshape(-1, height, width), FLAT.format(images.shape[1], height, width)


def image_change(shape: tuple[int, ...]) -> tuple[Callable[[np.ndarray], np.ndarray] | None, str]:
    """Change of images, one by one, that puts their axes in order where it can be told; and the sentence on it."""
    if len(shape) == 4 and shape[3] not in CHANNELS and shape[1] in CHANNELS and len(_sides(shape[2:])) == 2:
        return lambda images: np.moveaxis(images, 1, -1), CHANNELS_FIRST
    if len(shape) == 2 and (flat := flat_shape(shape[1])) is not None and flat[2] == 1:
        height, width, _ = flat
        return lambda images: images.reshape(-1, height, width), FLAT.format(shape[1], height, width)
    return None, ""


def _sides(sizes: tuple[int, ...]) -> list[int]:
    return [size for size in sizes if SMALLEST <= size <= LARGEST]
