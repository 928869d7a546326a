"""Named arrays as bytes: .npz files that are read without ever unpickling."""

import io
from collections.abc import Mapping

import numpy as np


def npz_of(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as the bytes of an .npz file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def arrays_of(content: bytes) -> dict[str, np.ndarray]:
    """The named arrays of an .npz file.

    Raises:
        ValueError: It is no .npz file, or holds Python objects.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
