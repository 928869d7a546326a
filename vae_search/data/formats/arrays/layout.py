"""Axes of image arrays: what is counted last, has its channels first or is flat becomes (count, height, width, …)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Order of the axes of an array of images.

    Args:
        counted: axis along which the images are counted.
        change: puts the other axes in order, once that axis is the first; image by image. None = they are.
        note: sentence on what is changed; empty if nothing is.
    """

    counted: int = 0
    change: Callable[[np.ndarray], np.ndarray] | None = None
    note: str = ""


AS_IT_IS = Order()


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
    order = order_of(images.shape, by_columns=by_columns)
    if order.counted:
        images = np.moveaxis(images, order.counted, 0)
    return images if order.change is None else order.change(images), order.note


def order_of(shape: tuple[int, ...], *, by_columns: bool = False) -> Order:
    """Order of the axes of an array of this shape, as far as it can be told.

    Args:
        by_columns: it comes from MATLAB, which keeps flat images in columns.
    """
    match len(shape):
        case 2:
            return _of_flat(shape, by_columns=by_columns)
        case 3 if _is_counted_last(shape, by_columns=by_columns):
            return Order(counted=2, note=COUNTED_LAST)
        case 4:
            return _of_four(shape)
        case _:
            return AS_IT_IS


def _is_counted_last(shape: tuple[int, ...], *, by_columns: bool) -> bool:
    """True if (height, width, count) can be meant and (count, height, width) cannot: of squares, or from MATLAB.

    Of what MATLAB wrote, (side, side, count) is squares, although as many images of side × count are possible.
    """
    if shape[0] != shape[1] and not by_columns:
        return False
    if by_columns and shape[0] == shape[1] != shape[2] and len(_sides(shape[:2])) == 2:
        return True
    usual = len(_sides(shape[1:])) == 2 and shape[0] >= FEWEST
    return not usual and len(_sides(shape[:2])) == 2 and shape[2] >= FEWEST


def _of_four(shape: tuple[int, ...]) -> Order:
    first, second, third, last = shape
    if last in CHANNELS and len(_sides((second, third))) == 2:
        return AS_IT_IS
    if second in CHANNELS and len(_sides((third, last))) == 2:
        return Order(change=_channels_last, note=CHANNELS_FIRST)
    if third in CHANNELS and len(_sides((first, second))) == 2:
        return Order(counted=3, note=COLOURS_COUNTED_LAST)
    if first in CHANNELS and len(_sides((second, third))) == 2:
        return Order(counted=3, change=_channels_last, note=PLANES_COUNTED_LAST)
    return AS_IT_IS


def _channels_last(images: np.ndarray) -> np.ndarray:
    return np.moveaxis(images, 1, -1)


def _of_flat(shape: tuple[int, ...], *, by_columns: bool) -> Order:
    rows, columns = flat_shape(shape[1]), flat_shape(shape[0])
    if by_columns and columns is not None and columns[2] == 1:
        height, width, _ = columns
        return Order(
            counted=1,
            change=lambda images: images.reshape(-1, width, height).swapaxes(1, 2),
            note=FLAT_COLUMNS.format(shape[0], height, width),
        )
    if rows is None or rows[2] != 1:  # of colours nobody knows whether all of red comes first
        return AS_IT_IS
    height, width, _ = rows
    return Order(change=lambda images: images.reshape(-1, height, width), note=FLAT.format(shape[1], height, width))


def _sides(sizes: tuple[int, ...]) -> list[int]:
    return [size for size in sizes if SMALLEST <= size <= LARGEST]
