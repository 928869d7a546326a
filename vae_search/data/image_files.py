"""Encoded images: a folder of picture files, or a Parquet file with an image column."""

import io
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from vae_search.data.checks import check_size
from vae_search.errors import BadData

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
GREY_MODES = ("1", "L", "I;16", "I", "F", "LA")


def read_folder(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """All pictures below a folder, sorted by path; its subfolders `train` and `test` are taken as what they say.

    Raises:
        BadData: There are no pictures, one is damaged, or they differ in size.
    """
    train = folder / "train"
    if not train.is_dir():
        return _read_pictures(folder), None
    test = folder / "test"
    return _read_pictures(train), _read_pictures(test) if test.is_dir() else None


def read_parquet(path: Path) -> np.ndarray:
    """The images of a Parquet file's column `image` (or its only column that can hold images).

    A value is an encoded picture (bytes, or a struct with a field `bytes` as Hugging Face writes it), or a list of
    n·n whole numbers 0..255, read as one square grey image.

    Raises:
        BadData: There is no such column, or a value of it is damaged or of another size.
    """
    try:
        file = pq.ParquetFile(path)
        name = _image_column(file.schema_arrow, path)
        column = pa.chunked_array(file.read(columns=[name]).column(name)).combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise BadData(
            f"{path}: is no intact Parquet file: {str(error).splitlines()[0][:120]}. Copy it again."
        ) from error
    if column.null_count:
        raise BadData(f"{path}: column {name} has {column.null_count} empty values. Remove these rows.")
    if _is_list(column.type):
        return _squares(column, where=f"{path}, column {name}")
    if pa.types.is_struct(column.type):
        column = column.field("bytes")
    return _stack(
        (_decode(value.as_py(), where=f"{path}, row {row}"), f"{path}, row {row}") for row, value in enumerate(column)
    )


def _read_pictures(folder: Path) -> np.ndarray:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise BadData(f"{folder}: must hold pictures ({', '.join(sorted(SUFFIXES))}), but holds none.")
    return _stack((_decode(path.read_bytes(), where=str(path)), str(path)) for path in paths)


def _decode(content: bytes | None, *, where: str) -> np.ndarray:
    """(height, width, channels) uint8."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content or b"")) as picture:
                grey = picture.mode in GREY_MODES
                array = np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BadData(f"{where}: is no intact picture: {str(error)[:120]}. Repair or remove it.") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise BadData(f"{where}: is too large: {error}") from error
    return array[..., None] if grey else array


def _stack(pictures: Iterable[tuple[np.ndarray, str]]) -> np.ndarray:
    arrays: list[np.ndarray] = []
    for array, where in pictures:
        if arrays and array.shape != arrays[0].shape:
            raise BadData(
                f"{where}: all images must have one size and as many channels, but this is {_size(array)} and the "
                f"first is {_size(arrays[0])}. Resize or convert it."
            )
        arrays.append(array)
        check_size((len(arrays), *array.shape), 1, where=where)
    if not arrays:
        raise BadData("no images: there must be some, but the file is empty.")
    return np.stack(arrays)


def _size(array: np.ndarray) -> str:
    height, width, channels = array.shape
    return f"{height}×{width} with {channels} channel{'s' if channels > 1 else ''}"


def _image_column(schema: pa.Schema, path: Path) -> str:
    fits = [field.name for field in schema if _can_hold_images(field.type)]
    if "image" in fits:
        return "image"
    if len(fits) != 1:
        raise BadData(
            f"{path}: must have a column `image` with pictures or pixel lists, but has {', '.join(schema.names)}. "
            "Rename the column."
        )
    return str(fits[0])


def _can_hold_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or _is_list(kind))


def _is_list(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and pa.types.is_integer(kind.value_type))


def _squares(column: pa.Array, *, where: str) -> np.ndarray:
    lengths = {len(value) for value in column}
    (length,) = lengths if len(lengths) == 1 else (0,)
    side = round(length**0.5)
    if side == 0 or side * side != length:
        raise BadData(
            f"{where}: every list must hold the n·n pixels of a square image, but their lengths are "
            f"{', '.join(map(str, sorted(lengths)[:4]))}. Store encoded pictures instead."
        )
    return np.asarray(column.flatten()).reshape(len(column), side, side)
