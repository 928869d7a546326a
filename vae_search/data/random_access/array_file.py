"""NumPy's .npy files that are too large for memory, read through a map of the file."""

from pathlib import Path

import numpy as np

from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import check_type
from vae_search.data.random_access.image_reader import ArrayReader


def large_array(path: Path, held_bytes: int) -> ArrayReader | None:
    """Random access to the one array of a .npy file that does not fit in memory; None if it fits, or is no such file.

    Args:
        held_bytes: most that may be in memory.

    Raises:
        BadData: It cannot be read, is truncated, or holds Python objects.
    """
    if path.stat().st_size <= held_bytes:
        return None
    with reading(place(path)):
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except (ValueError, TypeError, KeyError, SyntaxError):
            return None  # the reader of small files says what is wrong with it, by its header
    check_type(array.dtype, where=place(path))
    return ArrayReader(array)
