"""IDX files, the format of MNIST and its family: http://yann.lecun.com/exdb/mnist (big-endian header, then bytes)."""

import gzip
import struct
from pathlib import Path

import numpy as np

from vae_search.core.text import first_few
from vae_search.data.formats.safe_reading import Readable, place, read_exactly, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

TRAIN, TEST = "train-images", "t10k-images"
MAGIC = b"\x00\x00\x08\x03"  # unsigned bytes, three dimensions
LABELS = b"\x00\x00\x08\x01"


def idx_file(folder: Path, part: str) -> Path | None:
    """The file of this part (TRAIN or TEST), packed or not, in either usual spelling."""
    names = [f"{part}{joint}idx3-ubyte{packed}" for packed in ("", ".gz") for joint in "-."]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def idx_advice(place_of: Path) -> str:
    """Advice for an IDX file, or a folder of some, under names that are not looked for; empty for anything else."""
    folder = place_of if place_of.is_dir() else place_of.parent
    found = [file.name for file in sorted(folder.iterdir())] if folder == place_of else [place_of.name]
    others = [name for name in found if "idx3-ubyte" in name and not name.startswith(".")]
    if not others:
        return ""
    return (
        f"\nCopy {first_few(others)} into a folder as {TRAIN}-idx3-ubyte and {TEST}-idx3-ubyte (with .gz if packed), "
        "and give that."
    )


def read_idx_folder(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Training images, and test images if they are there; each (count, height, width) uint8.

    Raises:
        BadData: The training file is missing, or a file is damaged or no IDX file of images.
    """
    train = idx_file(folder, TRAIN)
    if train is None:
        raise BadData(f"{place(folder)}: {TEST} needs {TRAIN}-idx3-ubyte[.gz] beside it, but that is not there.")
    test = idx_file(folder, TEST)
    images = _read_file(train)
    return images, None if test is None else _read_file(test, beside_bytes=images.nbytes)


def read_idx(stream: Readable, *, where: str, beside_bytes: int = 0) -> np.ndarray:
    """Images of an unpacked IDX stream: (count, height, width) uint8.

    Args:
        beside_bytes: size of the data set's other images.

    Raises:
        BadData: It is something else, is too large, or holds more or less than its header says.
    """
    magic, sizes = stream.read(4), stream.read(12)
    if magic != MAGIC:
        what = "it holds labels" if magic == LABELS else f"it begins with {magic.hex() or 'nothing'}"
        raise BadData(f"{where}: an IDX file of images begins with {MAGIC.hex()}, but {what}.")
    if len(sizes) < 12:
        raise BadData(f"{where}: must be complete, but it ends within its header. Get it again.")
    shape: tuple[int, int, int] = struct.unpack(">3I", sizes)
    refuse_too_large(shape, 1, where=where, beside_bytes=beside_bytes)
    content = read_exactly(stream, shape[0] * shape[1] * shape[2], where=where)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_file(path: Path, *, beside_bytes: int = 0) -> np.ndarray:
    where = place(path)
    with reading(where):
        if path.suffix == ".gz":
            with gzip.open(path) as unpacked:
                return read_idx(unpacked, where=where, beside_bytes=beside_bytes)
        with path.open("rb") as file:
            return read_idx(file, where=where, beside_bytes=beside_bytes)
