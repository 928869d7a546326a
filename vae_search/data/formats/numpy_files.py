"""NumPy's own files, .npy and .npz, without pickle: the header is read and judged first, then the bytes.

The format is https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import math
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import IO, BinaryIO

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.safe_reading import place, read_exactly, reading
from vae_search.data.image_checks import check_type, refuse_too_large
from vae_search.errors import BadData

TRAIN_KEY, TEST_KEY = "x_train", "x_test"
LABELS_BEGIN = "y_"
HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> np.ndarray:
    """The one array of a .npy file.

    Raises:
        BadData: It is damaged, holds Python objects, or is too large.
    """
    where = place(path)
    with reading(where), path.open("rb") as file:
        return _read_array(file, where)


def read_npz(file: Path | BinaryIO, *, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """`x_train`, and `x_test` if it is there, of a .npz archive as Keras keeps data sets; labels are not read.

    Raises:
        BadData: There is no `x_train`, or the archive is damaged, encrypted, too large, or holds Python objects.
    """
    try:
        with reading(where), zipfile.ZipFile(file) as archive:
            return _read_archive(archive, where)
    except (RuntimeError, UnicodeDecodeError) as error:  # encrypted, packed by an unknown method, or damaged names
        reason = printable(str(error))
        raise BadData(f"{where}: must be an archive that NumPy wrote, but: {reason}. Save it with np.savez.") from error


def unread_note(path: Path) -> tuple[str, ...]:
    """Note on arrays of a .npz archive that are neither read nor labels, such as `x_val`; none if there are none."""
    with reading(place(path)), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    unread = [name for name in names if name not in (TRAIN_KEY, TEST_KEY) and not name.startswith(LABELS_BEGIN)]
    return (f"Left out of the file: {first_few(unread)}.",) if unread else ()


def _read_archive(archive: zipfile.ZipFile, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    members = {name.removesuffix(".npy"): name for name in archive.namelist()}
    if TRAIN_KEY not in members:
        found = printable(", ".join(members), 200) or "nothing"
        raise BadData(
            f"{where}: training images must be the array {TRAIN_KEY} (test images: {TEST_KEY}).\nIt holds {found}."
        )
    keys = [key for key in (TRAIN_KEY, TEST_KEY) if key in members]
    # By the archive's own directory, before anything is unpacked: zeros are packed a thousandfold.
    unpacked_bytes = sum(archive.getinfo(members[key]).file_size for key in keys)
    refuse_too_large((unpacked_bytes,), 1, where=f"{where}: {' and '.join(keys)}")
    parts: list[np.ndarray] = []
    for key in keys:
        with archive.open(members[key]) as member:
            held = sum(part.nbytes for part in parts)
            parts.append(_read_array(member, f"{where}: {key}", beside_bytes=held))
    return parts[0], parts[1] if len(parts) > 1 else None


def _read_array(stream: IO[bytes], where: str, *, beside_bytes: int = 0) -> np.ndarray:
    try:
        version = np.lib.format.read_magic(stream)
        shape, by_columns, dtype = HEADER_READERS[version](stream)
    except (ValueError, KeyError, TokenError) as error:
        raise BadData(f"{where}: must be an array in NumPy's format, but its header is not. Save it again.") from error
    check_type(dtype, where=where)
    if any(size <= 0 for size in shape):
        raise BadData(f"{where}: there must be images, but the shape is {shape}.")
    refuse_too_large(shape, dtype.itemsize, where=where, beside_bytes=beside_bytes)
    content = read_exactly(stream, math.prod(shape) * dtype.itemsize, where=where)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
