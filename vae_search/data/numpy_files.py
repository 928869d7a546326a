"""NumPy's .npy and .npz files; nothing is ever unpickled."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from vae_search.data.checks import check_size
from vae_search.errors import BadData


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file.

    Raises:
        BadData: It is damaged, holds Python objects, or is too large.
    """
    try:
        with path.open("rb") as file:
            _check_header(file, where=str(path))
            file.seek(0)
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, EOFError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from error
    return array


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """`x_train` and, if there is one, `x_test`.

    Raises:
        BadData: It is damaged, holds Python objects, is too large, or has no `x_train`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    _check_header(file, where=f"{path}:{member.removesuffix('.npy')}")
        with np.load(path, allow_pickle=False) as arrays:
            if "x_train" not in arrays.files:
                raise BadData(
                    f"{path}: must hold an array x_train (and may hold x_test), but holds "
                    f"{', '.join(arrays.files) or 'nothing'}. Save it with numpy.savez(path, x_train=...)."
                )
            return arrays["x_train"], arrays["x_test"] if "x_test" in arrays.files else None
    except (OSError, EOFError, ValueError, SyntaxError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise _unreadable(path, error) from error


def _check_header(file: object, *, where: str) -> None:
    """Refuse Python objects and giants before any data is read."""
    version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)  # type: ignore[arg-type]
    if dtype.hasobject:
        raise BadData(f"{where}: must hold numbers, but holds Python objects. Save one numeric array.")
    check_size(shape, dtype.itemsize, where=where)


def _unreadable(path: Path, error: Exception) -> BadData:
    if isinstance(error, BadData):
        return error
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BadData(f"{path}: is no intact NumPy file: {reason[:120]}. Save or copy it again.")
