"""Tables with a column for each pixel, as Kaggle's `label,pixel0,…`: with a header or without, packed or not."""

import gzip
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from vae_search.core.text import first_few, printable
from vae_search.data.formats.arrays.naming import flat_shape
from vae_search.data.formats.conversions import in_command
from vae_search.data.formats.found import Found
from vae_search.data.formats.roles import names_no_images
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

BLOCK_BYTES = 2**23
NUMBER_BYTES = 8
LABELS = ("label", "labels", "class", "y", "target", "emotion")


def read_csv(path: Path) -> Found:
    """The images of a table of numbers: one row each.

    Raises:
        BadData: Its columns are not the pixels of square images, a value is no number, or it is damaged or too large.
    """
    where = place(path)
    with reading(where):
        has_names = _has_names(path, where)
        options = pv.ReadOptions(block_size=BLOCK_BYTES, autogenerate_column_names=not has_names)
        try:
            with _opened(path) as file, pv.open_csv(file, read_options=options) as reader:
                return pixel_table(reader, names=reader.schema.names, has_names=has_names, where=where)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            reason = printable(str(error), 160)
            raise BadData(f"{where}: must be a table of numbers, but: {reason}") from error


def pixel_table(batches: Iterable[pa.RecordBatch], *, names: list[str], has_names: bool, where: str) -> Found:
    """Images from record batches of a table with a column for each pixel.

    Args:
        names: of the table's columns.
        has_names: they are its own.
    """
    refuse_twice_named(names, where=where)
    pixels, label = pixel_columns(names, has_names=has_names, where=where)
    shape = flat_shape(len(pixels))
    if shape is None:
        raise ValueError("pixel_columns returns the columns of a square image")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    held = 0
    for batch in batches:
        if not has_names and label is not None and not images:
            label = _label_column(batch, names)
            pixels = [name for name in names if name != label]
        rows = _numbers(batch, pixels, where)
        held += rows.size * NUMBER_BYTES
        refuse_too_large((held,), 1, where=where)
        images.append(rows)
        if label is not None:
            labels.append(batch.column(label).to_numpy(zero_copy_only=False))
    if not images:
        raise BadData(f"{where}: there must be images, but it has no rows.")
    table = np.concatenate(images)
    height, width, _ = shape
    numbered = ("", *(name for name in names if name.startswith("Unnamed")))  # rows, as pandas counts them
    left_out = [name for name in names if name not in (*pixels, *numbered, label)] if has_names else []
    notes = [f"Each row was read as an image of {height}×{width}, one column for each pixel."]
    if label is not None and not has_names:
        notes.append(f"Its {'first' if label == names[0] else 'last'} column was read as labels.")
    notes += [f"Left out of the table: {first_few(left_out)}."] if left_out else []
    found = Found(train=table.reshape(len(table), height, width), notes=tuple(notes), in_published_order=True)
    return found if label is None else replace(found, labels={"train": np.concatenate(labels)})


def _label_column(batch: pa.RecordBatch, names: Sequence[str]) -> str:
    """The first or the last column: the one that varies, as a corner seldom does; the first if both do."""
    varies = [len(batch.column(name).unique()) > 1 for name in (names[0], names[-1])]
    return names[-1] if varies == [False, True] else names[0]


def refuse_twice_named(names: Sequence[str], *, where: str) -> None:
    """Refuse a table in which a name does not say which column is meant.

    Raises:
        BadData: Two columns have one name.
    """
    if len({*names}) < len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        raise BadData(f"{where}: columns must have different names, but several are called {printable(name)}.")


def pixel_columns(names: list[str], *, has_names: bool, where: str) -> tuple[list[str], str | None]:
    """Columns of pixels, and the column of labels if there is one.

    Raises:
        BadData: No columns are the pixels of a grey, square image.
    """
    if has_names:
        pixels = [name for name in names if name and not names_no_images(name) and not name.startswith("Unnamed")]
        label = next((name for name in names if name.lower() in LABELS), None)
    else:
        is_labelled = flat_shape(len(names)) is None  # without names a label comes first
        pixels, label = (names[1:], names[0]) if is_labelled else (names, None)
    shape = flat_shape(len(pixels))
    if shape is None and "pixels" in names:  # as the faces of FER2013
        raise BadData(
            f"{where}: must have a column for each pixel, but its pixels are in one column. Convert it where it lies:\n"
            f"{_split(where)}"
        )
    if shape is None:
        raise BadData(
            f"{where}: must have a column for each pixel of square images, such as 784, but {len(pixels):,} may be "
            f"pixels: {first_few(pixels)}.\nSave the images as a .npy file, (count, height, width)."
        )
    if shape[2] != 1:
        height, width, _ = shape
        raise BadData(
            f"{where}: its {len(pixels):,} columns may be colours of {height}×{width} pixels.\n"
            "If they go pixel by pixel, convert it where it lies, and give a.npy: "
            f"{_conversion(where, height, width)}"
        )
    return pixels, label


def _conversion(where: str, height: int, width: int) -> str:
    file = in_command(where.rpartition("/")[2])
    return (
        f"python -c \"import numpy, pandas; a = pandas.read_csv('{file}').drop(columns='label', errors='ignore'); "
        f"numpy.save('a.npy', a.to_numpy('uint8').reshape(-1, {height}, {width}, 3))\""
    )


def _split(where: str) -> str:
    file = in_command(where.rpartition("/")[2])
    return (
        f"python -c \"import numpy, pandas; a = pandas.read_csv('{file}').pixels; "
        "numpy.save('a.npy', numpy.stack([numpy.array(p.split(), 'uint8') for p in a]))\""
    )


def _numbers(batch: pa.RecordBatch, names: list[str], where: str) -> np.ndarray:
    columns = []
    for name in names:
        column = batch.column(name)
        if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            found = f"{column.null_count:,} are missing" if column.null_count else f"some are {column.type}"
            raise BadData(f"{where}: every pixel must be a number, but in column {printable(name)} {found}.")
        columns.append(column.to_numpy(zero_copy_only=False))
    stacked: np.ndarray = np.stack(columns, axis=1)
    low, high = stacked.min(initial=0), stacked.max(initial=0)
    return stacked.astype(np.uint8) if stacked.dtype.kind in "iu" and low >= 0 and high <= 255 else stacked


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.GzipFile(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _has_names(path: Path, where: str) -> bool:
    """True unless the first line is numbers alone."""
    with _opened(path) as file:
        first = file.readline(BLOCK_BYTES)
    if not first.strip():
        raise BadData(f"{where}: there must be images, but it is empty.")
    if b"," not in first and b";" in first:
        name = in_command(where.rpartition("/")[2])
        raise BadData(
            f"{where}: values must be separated by commas, but they are by semicolons. Convert it where it lies:\n"
            f"tr ';' ',' < '{name}' > commas.csv"
        )
    try:
        words = first.decode("utf-8-sig").strip().split(",")
        _ = [float(word) for word in words]
    except ValueError:  # a UnicodeDecodeError is one
        return True
    return False
