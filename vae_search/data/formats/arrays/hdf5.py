"""HDF5 files, and MATLAB's of version 7.3, which are some: data sets are judged by their headers, then read.

Nothing outside of the file is read: links that lead out and data sets that are kept elsewhere are left aside.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vae_search.core.text import printable
from vae_search.data.formats.arrays.layout import in_order, order_of
from vae_search.data.formats.arrays.naming import ArrayHeader, choose_arrays
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import AnyImages, Found
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import check_type, refuse_too_large
from vae_search.data.random_access.derived_readers import ChangedReader
from vae_search.data.random_access.image_reader import ImageReader
from vae_search.errors import BadData

if TYPE_CHECKING:
    import h5py

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MOST_ARRAYS = 10_000
OWN_OF_MATLAB = "#refs#"  # where MATLAB keeps what cells point to


def read_hdf5(path: Path, choices: Choices, held_bytes: int, *, by_columns: bool = False) -> Found:
    """The images of an HDF5 file.

    Args:
        held_bytes: most that may be in memory; data sets that are more are read in ranges.
        by_columns: MATLAB wrote it, whose axes lie in the opposite order.

    Raises:
        BadData: No data set, or more than one, may hold the images, or the file is damaged or too large.
    """
    import h5py  # takes long to import, and few read such files

    where = place(path)
    try:
        with reading(where), h5py.File(path, "r") as file:
            headers = _headers(file, where, by_columns=by_columns)
            chosen = choose_arrays(headers, array=choices.array, where=where)
            parts: dict[Role, AnyImages] = {}
            notes = [*chosen.notes]
            held = 0
            for role, name in chosen.images.items():
                header, inside = headers[name], f"{where}: {printable(name)}"
                check_type(header.dtype, where=inside)
                if math.prod(header.shape) * header.dtype.itemsize > held_bytes - held:
                    parts[role], note = _large(path, name, header, by_columns=by_columns)
                    notes += [note] if note and note not in notes else []
                    continue
                refuse_too_large(header.shape, header.dtype.itemsize, where=inside, beside_bytes=held)
                parts[role] = values = _values(file, name, by_columns=by_columns)
                held += values.nbytes
            labels = {
                role: _values(file, name, by_columns=by_columns).reshape(-1) for role, name in chosen.labels.items()
            }
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise BadData(
            f"{where}: must be a complete HDF5 file, but: {printable(str(error), 160)}. Get it again."
        ) from error
    if by_columns:
        arrays, axes = in_order(
            {role: part for role, part in parts.items() if isinstance(part, np.ndarray)}, by_columns=True
        )
        parts, notes = {**parts, **arrays}, [*dict.fromkeys((*notes, *axes))]
    return replace(Found.of(parts, notes=tuple(notes), in_published_order=True), labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hdf5Reader:
    """Random access to a data set that does not fit in memory.

    Args:
        shape: with the count first.
        counted: axis along which the images are counted, of the axes as whoever wrote the file counts them.
        by_columns: MATLAB wrote it, whose axes lie in the opposite order.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    counted: int
    by_columns: bool

    def read(self, start: int, stop: int) -> np.ndarray:
        """Images start … stop - 1; see `ImageReader`."""
        import h5py

        where = place(self.path)
        try:
            with reading(where), h5py.File(self.path, "r") as file:
                ranges = [slice(None)] * len(self.shape)
                ranges[self.counted] = slice(start, stop)
                values: np.ndarray = np.asarray(file[self.name][tuple(ranges[::-1] if self.by_columns else ranges)])
                return np.moveaxis(values.transpose() if self.by_columns else values, self.counted, 0)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise BadData(f"{where}: must be a complete HDF5 file, but: {printable(str(error), 160)}.") from error


def _large(path: Path, name: str, header: ArrayHeader, *, by_columns: bool) -> tuple[ImageReader, str]:
    """Reader of a data set that does not fit in memory, its axes in order; and the sentence on what was changed."""
    order = order_of(header.shape, by_columns=by_columns)
    others = tuple(size for axis, size in enumerate(header.shape) if axis != order.counted)
    reader = Hdf5Reader(
        path=path,
        name=name,
        shape=(header.shape[order.counted], *others),
        dtype=header.dtype,
        counted=order.counted,
        by_columns=by_columns,
    )
    return reader if order.change is None else ChangedReader(reader, order.change), order.note


def _headers(file: "h5py.File", where: str, *, by_columns: bool) -> Mapping[str, ArrayHeader]:
    import h5py

    found: dict[str, ArrayHeader] = {}

    def look(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset) or name.startswith(OWN_OF_MATLAB):
            return
        if item.shape is None or item.external or item.is_virtual:
            return
        if len(found) == MOST_ARRAYS:
            raise BadData(
                f"{where}: must hold its images in one data set, but it holds more than {MOST_ARRAYS:,}.\n"
                "Save them as one array, (count, height, width)."
            )
        shape = item.shape[::-1] if by_columns else item.shape
        found[name] = ArrayHeader(shape=tuple(shape), dtype=item.dtype)

    file.visititems(look)
    return found


def _values(file: "h5py.File", name: str, *, by_columns: bool) -> np.ndarray:
    values: np.ndarray = np.asarray(file[name][...])
    return values.transpose() if by_columns else values
