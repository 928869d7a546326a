"""Images in a Parquet file: encoded pictures, as Hugging Face writes them, or one list of numbers per image."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vae_search.core.text import printable
from vae_search.data.formats.encoded_images import DecodedPictures, decode_pictures
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import LARGEST, decoded_limit_bytes, limit_words, refuse_too_large
from vae_search.errors import BadData

USUAL_NAMES = ("image", "img")
BATCH_BYTES = 2**24  # of unpacked values that are held beside the images, unless one row alone takes more
MOST_ROWS = 256  # of encoded pictures in a piece
NUMBER_BYTES = 16  # of a number in a list while it is unpacked, with the marks of where lists begin
# A picture of the largest size with four channels of 16 bits, as they are; what is encoded is seldom larger.
MAX_PICTURE_BYTES = 8 * LARGEST**2


def read_parquet(path: Path) -> DecodedPictures:
    """The images of the file's image column.

    The column is the only one of a fitting type, or the one called `image` or `img`. It holds either encoded pictures
    (binary, or a struct with the binary field `bytes`) or lists of pixels, row by row and channels last, of square
    images: side² numbers are grey, 3 · side² are colour.

    Raises:
        BadData: There is no such column, a row is empty or differs in size, or the file is damaged or too large.
    """
    where = place(path)
    try:
        with reading(where), pq.ParquetFile(path) as file:
            name = _image_column(file.schema_arrow, where)
            count = file.metadata.num_rows
            if count == 0:
                raise BadData(f"{where}: there must be images, but it has no rows.")
            place_of_column = f"{where}: column {printable(name)}"
            leaves = _leaves(file.metadata, name)
            if _holds_pixels(file.schema_arrow.field(name).type):
                return DecodedPictures(images=_pixels(file, name, count, leaves, place_of_column), turned=0)
            _refuse_swollen(sum(leaf.total_uncompressed_size for leaf in leaves), place_of_column)
            longest = _longest_repeated(path, file, name, leaves, place_of_column)
            rows = min(MOST_ROWS, max(1, BATCH_BYTES // max(1, longest)))
            return decode_pictures(_encoded(file, name, rows, place_of_column), count)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = printable(str(error))
        raise BadData(f"{where}: must be a complete Parquet file, but: {reason} Get it again.") from error


def _leaves(metadata: pq.FileMetaData, name: str) -> list[pq.ColumnChunkMetaData]:
    """Chunks of a column, of all row groups: of a struct the field `bytes` alone."""
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(position) for position in range(group.num_columns)]
        found += [chunk for chunk in chunks if chunk.path_in_schema in (name, f"{name}.bytes")] or [
            chunk for chunk in chunks if chunk.path_in_schema.startswith(f"{name}.")
        ]
    return found


def _refuse_swollen(unpacked_bytes: int, where: str) -> None:
    limit = decoded_limit_bytes()
    if unpacked_bytes > limit:
        raise BadData(
            f"{where}: unpacked values must fit in {limit / 2**30:.3g} GiB ({limit_words(limit)}), but they take "
            f"{unpacked_bytes / 2**30:,.1f} GiB. Use fewer or smaller images."
        )


def _image_column(schema: pa.Schema, where: str) -> str:
    fitting: list[str] = [field.name for field in schema if _holds_pictures(field.type) or _holds_pixels(field.type)]
    named = [name for name in fitting if name.lower() in USUAL_NAMES]
    for choice in (fitting, named):
        if len(choice) == 1:
            return choice[0]
    columns = printable(", ".join(f"{field.name} ({field.type})" for field in schema), 300)
    raise BadData(
        f"{where}: one column must hold encoded pictures or lists of pixels, but {len(fitting)} do: {columns}.\n"
        "Call the right one image, or save the images as a .npy file."
    )


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_pictures(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_pixels(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    value = kind.value_type
    return bool(pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_boolean(value))


def _columns(file: pq.ParquetFile, name: str, rows: int, where: str) -> Iterator[tuple[int, pa.Array]]:
    """The column in pieces of so many rows, each with the number of its first row; none has empty rows."""
    start = 0
    for batch in file.iter_batches(rows, columns=[name]):
        column = batch.column(0)
        if pa.types.is_struct(column.type):
            column = column.field("bytes") if column.null_count == 0 else column
        if column.null_count:
            row = start + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise BadData(f"{where}: every row must hold an image, but row {row} holds none (a path is not followed).")
        yield start, column
        start += len(batch)


def _longest_repeated(
    path: Path, file: pq.ParquetFile, name: str, leaves: list[pq.ColumnChunkMetaData], where: str
) -> int:
    """Bytes of the longest value in the dictionaries of a column of pictures.

    A dictionary of a few packed bytes may stand for as many gigabytes as there are rows, so it is looked at alone
    before any row is read: the first row of a row group brings its whole dictionary, once.

    Raises:
        BadData: A value is too long to be a picture of a size that is read.
    """
    longest = 0
    dictionaries = sorted({leaf.path_in_schema for leaf in leaves})
    with pq.ParquetFile(path, metadata=file.metadata, read_dictionary=dictionaries) as frugal:
        for group in range(file.num_row_groups):
            batch = next(frugal.iter_batches(1, row_groups=[group], columns=[name]), None)
            column = None if batch is None else batch.column(0)
            if column is not None and pa.types.is_struct(column.type):
                column = column.field("bytes")
            if isinstance(column, pa.DictionaryArray) and len(column.dictionary):
                longest = max(longest, int(pc.max(pc.binary_length(column.dictionary)).as_py() or 0))
                _check_length(longest, f"{where}: row group {group}")
    return longest


def _check_length(size: int, where: str) -> None:
    if size > MAX_PICTURE_BYTES:
        raise BadData(
            f"{where}: pictures must be at most {LARGEST} pixels high and wide, which takes at most "
            f"{MAX_PICTURE_BYTES:,} bytes,\nbut one takes {size:,}. Resize all pictures."
        )


def _encoded(file: pq.ParquetFile, name: str, rows: int, where: str) -> Iterator[tuple[str, bytes]]:
    for start, column in _columns(file, name, rows, where):
        for index, length in enumerate(pc.binary_length(column).to_pylist()):
            _check_length(length, f"{where}: row {start + index}")
            yield f"{where}: row {start + index}", column[index].as_py()


def _pixels(
    file: pq.ParquetFile, name: str, count: int, leaves: list[pq.ColumnChunkMetaData], where: str
) -> np.ndarray:
    values_in_all = sum(leaf.num_values for leaf in leaves)
    item_bytes = np.dtype(file.schema_arrow.field(name).type.value_type.to_pandas_dtype()).itemsize
    _refuse_swollen(values_in_all * item_bytes, where)
    rows = max(1, BATCH_BYTES * count // max(1, values_in_all * NUMBER_BYTES))
    images = np.empty((0, 0, 0, 1))
    for start, column in _columns(file, name, rows, where):
        values = column.flatten()
        lengths = np.full(len(column), column.type.list_size) if _is_fixed(column.type) else np.diff(column.offsets)
        if values.null_count:
            raise BadData(f"{where}: every pixel must be a number, but {values.null_count:,} are missing.")
        if start == 0:
            shape = _square_shape(int(lengths[0]), where)
            dtype = values.type.to_pandas_dtype()
            refuse_too_large((count, *shape), np.dtype(dtype).itemsize, where=where)
            images = np.empty((count, *shape), dtype)
        expected = math.prod(images.shape[1:])
        if (lengths != expected).any():
            row = int(np.flatnonzero(lengths != expected)[0])
            found = f"row {start + row} holds {lengths[row]:,} and row 0 holds {expected:,}"
            raise BadData(f"{where}: all rows must have the same number of pixels, but {found}.")
        pixels = values.to_numpy(zero_copy_only=False)
        images[start : start + len(column)] = pixels.reshape(-1, *images.shape[1:])
    return images


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _square_shape(length: int, where: str) -> tuple[int, int, int]:
    for channels in (1, 3):  # never both: 3 is no square
        side = math.isqrt(length // channels)
        if side > 0 and side * side * channels == length:
            return side, side, channels
    raise BadData(
        f"{where}: lists of pixels must be of square images (side² or 3 · side² numbers), but they hold {length:,}.\n"
        "Save the images as a .npy file, whose shape says what they are."
    )
