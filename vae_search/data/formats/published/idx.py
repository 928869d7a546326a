"""IDX files, the format of MNIST and its family: http://yann.lecun.com/exdb/mnist (big-endian header, then bytes)."""

import gzip
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vae_search.core.text import printable
from vae_search.data.formats.found import Found
from vae_search.data.formats.roles import ROLE_NAMES, Role
from vae_search.data.formats.safe_reading import Readable, place, read_exactly, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

TRAIN, TEST = "train-images", "t10k-images"
MAGIC = b"\x00\x00\x08\x03"  # unsigned bytes, three dimensions
LABELS = b"\x00\x00\x08\x01"
OTHER_NAMES = re.compile(r"(?P<set>.*?)[-_]?(?P<part>train|test|t10k)-images[-.]idx3-ubyte(?:\.gz)?")
TRANSPOSED = "EMNIST's images were published with rows and columns exchanged: they were set upright."


def idx_file(folder: Path, part: str) -> Path | None:
    """The file of this part (TRAIN or TEST), packed or not, in either usual spelling."""
    names = [f"{part}{joint}idx3-ubyte{packed}" for packed in ("", ".gz") for joint in "-."]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def is_idx_name(name: str) -> bool:
    """True if a file is called as IDX files of images are."""
    return OTHER_NAMES.fullmatch(name) is not None


def idx_sets(folder: Path) -> dict[str, dict[Role, Path]]:
    """Files of other names, such as `emnist-letters-train-images-idx3-ubyte.gz`, by what their names begin with."""
    found: dict[str, dict[Role, Path]] = {}
    for file in sorted(folder.iterdir()):
        if (named := OTHER_NAMES.fullmatch(file.name)) and not file.name.startswith(".") and file.is_file():
            role: Role = "train" if named["part"] == "train" else "test"
            found.setdefault(named["set"], {}).setdefault(role, file)
    return found


def idx_set_of(path: Path) -> dict[Role, Path]:
    """Files of images, by part, of the set that a file of another name belongs to or a folder holds; none if none."""
    if path.is_dir():
        sets = [*idx_sets(path).values()]
        return sets[0] if len(sets) == 1 else {}
    found = idx_sets(path.parent).values() if is_idx_name(path.name) else ()
    return next((parts for parts in found if path in parts.values()), {})


def labels_file(images: Path) -> Path:
    """The file that holds the labels of a file of images, if it is there."""
    return images.with_name(images.name.replace("-images", "-labels").replace("idx3", "idx1"))


def read_other_idx(parts: Mapping[Role, Path]) -> Found:
    """Images of an IDX file to train with, and of one to test with if there is one, by whatever names.

    Those of EMNIST (Cohen et al. 2017) were published with rows and columns exchanged, which is undone.

    Raises:
        BadData: There is nothing to train with, or a file is damaged or no IDX file of images.
    """
    if "train" not in parts:
        test = parts["test"]
        raise BadData(f"{place(test)}: needs the file of the same name with train in it beside it, but there is none.")
    images: dict[Role, np.ndarray] = {}
    for role in (role for role in ROLE_NAMES if role in parts):
        held = sum(part.nbytes for part in images.values())
        images[role] = _read_file(parts[role], beside_bytes=held)
    names = f"Read from {' and '.join(printable(parts[role].name) for role in images)}."
    if not parts["train"].name.lower().startswith("emnist"):
        return Found.of(images, notes=(names,), in_published_order=True)
    upright = {role: part.swapaxes(1, 2) for role, part in images.items()}
    return Found.of(upright, notes=(names, TRANSPOSED), in_published_order=True)


def read_idx_folder(folder: Path) -> Found:
    """Training images, and test images if they are there; each (count, height, width) uint8.

    Raises:
        BadData: The training file is missing, or a file is damaged or no IDX file of images.
    """
    train = idx_file(folder, TRAIN)
    if train is None:
        raise BadData(f"{place(folder)}: {TEST} needs {TRAIN}-idx3-ubyte[.gz] beside it, but that is not there.")
    test = idx_file(folder, TEST)
    images = _read_file(train)
    tested = None if test is None else _read_file(test, beside_bytes=images.nbytes)
    return Found(train=images, test=tested, in_published_order=True)


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
