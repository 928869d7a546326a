"""Pixels in lists of a Parquet column: nested lists say their shape, flat ones are of square images."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vae_search.core.text import printable
from vae_search.data.formats.arrays.naming import flat_shape
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.formats.tables.columns import ImageColumn
from vae_search.data.image_checks import decoded_limit_bytes, limit_words, refuse_too_large
from vae_search.errors import BadData

BATCH_BYTES = 2**24  # of unpacked values that are held beside the images, unless one row alone takes more
NUMBER_BYTES = 16  # of a number in a list while it is unpacked, with the marks of where lists begin

Shards = Sequence[tuple[Path, int, tuple[pq.ColumnChunkMetaData, ...]]]
"""files, with the number of their rows and the column's chunks"""


def read_pixels(shards: Shards, column: ImageColumn) -> np.ndarray:
    """Images of a column in several files, one after another.

    Raises:
        BadData: Rows differ in size, a value is missing, or a file is damaged or too large.
    """
    count = sum(rows for _, rows, _ in shards)
    images, start = np.empty((0, 0, 0, 1)), 0
    for path, rows, leaves in shards:
        where = f"{place(path)}: column {printable(column.name)}"
        try:
            with reading(where), pq.ParquetFile(path) as file:
                values_in_all = sum(leaf.num_values for leaf in leaves)
                refuse_swollen(values_in_all * _item_bytes(file.schema_arrow.field(column.name).type), where)
                at_once = max(1, BATCH_BYTES * rows // max(1, values_in_all * NUMBER_BYTES))
                first = 0
                for batch in file.iter_batches(at_once, columns=[column.name]):
                    pixels = _rows(batch.column(0), column, first, where, expected=images.shape[1:] if start else None)
                    if start == 0:
                        refuse_too_large((count, *pixels.shape[1:]), pixels.itemsize, where=where)
                        images = np.empty((count, *pixels.shape[1:]), pixels.dtype)
                    images[start : start + len(pixels)] = pixels
                    start += len(pixels)
                    first += len(pixels)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = printable(str(error))
            raise BadData(f"{where}: must be a complete Parquet file, but: {reason} Get it again.") from error
    return images


def refuse_swollen(unpacked_bytes: int, where: str) -> None:
    """Refuse a column by the sizes that the file's footer gives.

    Raises:
        BadData: It would take more than may be held.
    """
    limit = decoded_limit_bytes()
    if unpacked_bytes > limit:
        raise BadData(
            f"{where}: unpacked values must fit in {limit / 2**30:.3g} GiB ({limit_words(limit)}), but they take "
            f"{unpacked_bytes / 2**30:,.1f} GiB. Use fewer or smaller images."
        )


def _rows(
    values: pa.Array, column: ImageColumn, first: int, where: str, *, expected: tuple[int, ...] | None
) -> np.ndarray:
    """Images of some rows: (count, height, width), or with channels."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    sizes: list[int] = []
    count = len(values)
    for _ in range(column.depth):
        if values.null_count:
            row = first + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise BadData(f"{where}: every row must hold an image, but row {row} holds none.")
        lengths = _lengths(values)
        length = int(lengths[0]) if len(lengths) else 0
        if (lengths != length).any():
            at = int(np.flatnonzero(lengths != length)[0])
            row = at * count // len(lengths)
            raise BadData(
                f"{where}: all rows must have the same number of pixels, but row {first + row} holds {lengths[at]:,} "
                f"and row {first} holds {length:,}."
            )
        sizes.append(length)
        values = values.flatten()
    if values.null_count:
        raise BadData(f"{where}: every pixel must be a number, but {values.null_count:,} are missing.")
    shape = column.shape or _shape(sizes, where)
    if min(shape) < 1 or math.prod(shape) != math.prod(sizes):
        raise BadData(f"{where}: tensors must have as many numbers as their shape {shape} says, but they have others.")
    if expected is not None and math.prod(expected) != math.prod(sizes):
        raise BadData(
            f"{where}: all rows must have the same number of pixels, but row {first} holds {math.prod(sizes):,} and "
            f"row 0 holds {math.prod(expected):,}."
        )
    pixels: np.ndarray = values.to_numpy(zero_copy_only=False)
    return pixels.reshape(count, *shape)


def _shape(sizes: Sequence[int], where: str) -> tuple[int, ...]:
    inner = [size for size in sizes if size != 1] or [1]
    if len(inner) > 1:
        return tuple(sizes)
    shape = flat_shape(inner[0])
    if shape is None:
        raise BadData(
            f"{where}: lists of pixels must be of square images (side² or 3 · side² numbers), but they hold "
            f"{inner[0]:,}.\nSave the images as a .npy file, whose shape says what they are."
        )
    return shape


def _lengths(values: pa.Array) -> np.ndarray:
    if pa.types.is_fixed_size_list(values.type):
        return np.full(len(values), values.type.list_size)
    lengths: np.ndarray = values.value_lengths().to_numpy(zero_copy_only=False)
    return lengths


def _item_bytes(kind: pa.DataType) -> int:
    while hasattr(kind, "storage_type") or hasattr(kind, "value_type"):
        kind = kind.storage_type if hasattr(kind, "storage_type") else kind.value_type
    return int(np.dtype(kind.to_pandas_dtype()).itemsize)
