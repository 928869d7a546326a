"""NumPy's own files, .npy and .npz, without pickle: the header is read and judged first, then the bytes.

The format is https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError
from typing import IO, BinaryIO

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.arrays.naming import ArrayHeader, ChosenArrays, choose_arrays
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.safe_reading import place, read_exactly, reading
from vae_search.data.image_checks import check_type, refuse_too_large
from vae_search.errors import BadData

TRAIN_KEY, TEST_KEY = "x_train", "x_test"
LABELS_BEGIN = "y_"
LABEL_BYTES = 16  # of a label at most, with its share of a header
HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> np.ndarray:
    """The one array of a .npy file.

    Raises:
        BadData: It is damaged, holds Python objects, or is too large.
    """
    where = place(path)
    with reading(where), path.open("rb") as file:
        return read_array(file, where)


def npy_header(path: Path) -> ArrayHeader:
    """Shape and type of a .npy file's array.

    Raises:
        BadData: It is damaged.
    """
    where = place(path)
    with reading(where), path.open("rb") as file:
        shape, _, dtype = _read_header(file, where)
    return ArrayHeader(shape=shape, dtype=dtype)


def read_npz(file: Path | BinaryIO, *, where: str, choices: Choices = NONE) -> Found:
    """The images of a .npz archive: `x_train` and `x_test` as Keras names them, or those that its names say.

    Raises:
        BadData: No array, or more than one, may hold the images, or the archive is damaged, encrypted, too large, or
            holds Python objects.
    """
    try:
        with reading(where), zipfile.ZipFile(file) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if TRAIN_KEY in members and choices.array is None:
                chosen = _as_keras(members)
                left_out = f"Left out of the file: {first_few(chosen.left_out)}."
                notes: tuple[str, ...] = (left_out,) if chosen.left_out else ()
            else:
                headers = {
                    key: _member_header(archive, name, f"{where}: {printable(key)}") for key, name in members.items()
                }
                chosen = choose_arrays(headers, array=choices.array, where=where)
                notes = chosen.notes
            return _read_chosen(archive, members, chosen, where, notes)
    except (RuntimeError, UnicodeDecodeError) as error:  # encrypted, packed by an unknown method, or damaged names
        reason = printable(str(error))
        raise BadData(f"{where}: must be an archive that NumPy wrote, but: {reason}. Save it with np.savez.") from error


def _as_keras(members: Mapping[str, str]) -> ChosenArrays:
    """The arrays of Keras's data sets: others, such as `x_val`, are left out, as they always were."""
    unread = [name for name in members if name not in (TRAIN_KEY, TEST_KEY) and not name.startswith(LABELS_BEGIN)]
    images = ChosenArrays(images={"train": TRAIN_KEY}, left_out=tuple(unread))
    return replace(images, images={"train": TRAIN_KEY, "test": TEST_KEY}) if TEST_KEY in members else images


def _read_chosen(
    archive: zipfile.ZipFile, members: Mapping[str, str], chosen: ChosenArrays, where: str, notes: tuple[str, ...]
) -> Found:
    keys = [*chosen.images.values()]
    # By the archive's own directory, before anything is unpacked: zeros are packed a thousandfold.
    unpacked_bytes = sum(archive.getinfo(members[key]).file_size for key in keys)
    refuse_too_large((unpacked_bytes,), 1, where=f"{where}: {' and '.join(map(printable, keys))}")
    parts, held = {}, 0
    for role, key in chosen.images.items():
        with archive.open(members[key]) as member:
            parts[role] = read_array(member, f"{where}: {printable(key)}", beside_bytes=held)
        held += parts[role].nbytes
    labels = {}
    for role, key in chosen.labels.items():
        if archive.getinfo(members[key]).file_size <= LABEL_BYTES * len(parts[role]) + 2**12:
            with archive.open(members[key]) as member:
                labels[role] = read_array(member, f"{where}: {printable(key)}").reshape(-1)
    return replace(Found.of(parts, notes=notes, in_published_order=True), labels=labels)


def _member_header(archive: zipfile.ZipFile, name: str, where: str) -> ArrayHeader:
    with archive.open(name) as member:
        shape, _, dtype = _read_header(member, where)
    return ArrayHeader(shape=shape, dtype=dtype)


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        return HEADER_READERS[version](stream)
    except (ValueError, KeyError, TokenError) as error:
        raise BadData(f"{where}: must be an array in NumPy's format, but its header is not. Save it again.") from error


def read_array(stream: IO[bytes], where: str, *, beside_bytes: int = 0, is_last: bool = True) -> np.ndarray:
    """The array of a stream in NumPy's format.

    Args:
        beside_bytes: size of the data set's other images.
        is_last: nothing may follow it.

    Raises:
        BadData: It is damaged, empty or too large, or holds Python objects.
    """
    shape, by_columns, dtype = _read_header(stream, where)
    check_type(dtype, where=where)
    if any(size <= 0 for size in shape):
        raise BadData(f"{where}: there must be images, but the shape is {shape}.")
    refuse_too_large(shape, dtype.itemsize, where=where, beside_bytes=beside_bytes)
    content = read_exactly(stream, math.prod(shape) * dtype.itemsize, where=where, is_last=is_last)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")
