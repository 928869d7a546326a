"""MATLAB's files: versions 4 to 7 by SciPy, 7.3 as the HDF5 that it is."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from vae_search.core.text import printable
from vae_search.data.formats.arrays.hdf5 import SIGNATURE, read_hdf5
from vae_search.data.formats.arrays.naming import ArrayHeader, choose_arrays
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

HEADER_BYTES = 512  # before the HDF5 of version 7.3
ITEM_BYTES = 8  # of a number at most
TYPES = {"single": np.float32, "double": np.float64, "logical": np.uint8} | {
    f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)
}
DAMAGED = (ValueError, TypeError, KeyError, IndexError, NotImplementedError, OverflowError, MemoryError, zlib.error)


def read_matlab(path: Path, choices: Choices, held_bytes: int) -> Found:
    """The images of a .mat file.

    Args:
        held_bytes: see `read_hdf5`.

    Raises:
        BadData: No variable, or more than one, may hold the images, or the file is damaged or too large.
    """
    where = place(path)
    with reading(where), path.open("rb") as file:
        begin = file.read(HEADER_BYTES + len(SIGNATURE))
    if begin.startswith(SIGNATURE) or begin[HEADER_BYTES:] == SIGNATURE:
        return read_hdf5(path, choices, held_bytes, by_columns=True)
    import scipy.io  # takes long to import, and few read such files

    try:
        with reading(where):
            headers = {
                name: ArrayHeader(shape=tuple(shape), dtype=np.dtype(TYPES.get(kind, object)))
                for name, shape, kind in scipy.io.whosmat(path)
            }
            chosen = choose_arrays(headers, array=choices.array, where=where)
            names = [*chosen.images.values(), *chosen.labels.values()]
            held = 0
            for name in names:
                refuse_too_large(
                    headers[name].shape, ITEM_BYTES, where=f"{where}: {printable(name)}", beside_bytes=held
                )
                held += ITEM_BYTES * int(np.prod(headers[name].shape))
            values = scipy.io.loadmat(path, variable_names=names)
            parts = {role: np.asarray(values[name]) for role, name in chosen.images.items()}
            labels = {role: np.asarray(values[name]).reshape(-1) for role, name in chosen.labels.items()}
    except (*DAMAGED, scipy.io.matlab.MatReadError) as error:
        raise BadData(
            f"{where}: must be a complete MATLAB file, but: {printable(str(error), 160)}. Get it again."
        ) from error
    return replace(Found.of(parts, notes=chosen.notes, in_published_order=True), labels=labels)
