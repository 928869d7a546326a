"""STL-10's binary version (Coates et al. 2011): 96×96 colours, each plane column by column, without a header.

https://cs.stanford.edu/~acoates/stl10: `train_X.bin`, `test_X.bin`, `unlabeled_X.bin`, labels beside them.
"""

from pathlib import Path

import numpy as np

from vae_search.data.formats.found import Found
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import place, read_exactly, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

FILES: dict[Role, str] = {"train": "train_X.bin", "test": "test_X.bin"}
UNLABELLED = "unlabeled_X.bin"
NAMES = (*FILES.values(), UNLABELLED)
PLANES = (3, 96, 96)
IMAGE_BYTES = 3 * 96 * 96


def is_stl10(path: Path) -> bool:
    """True for a file of STL-10's names, and for a folder that holds its training images."""
    return path.name in NAMES if path.is_file() else (path / FILES["train"]).is_file()


def read_stl10(path: Path) -> Found:
    """The images of a file, or of a folder: those to train and to test with.

    Raises:
        BadData: A file is no whole number of images, or too large.
    """
    if path.is_file():
        return Found(train=_read(path), in_published_order=True)
    images: dict[Role, np.ndarray] = {}
    for role, name in FILES.items():
        if (path / name).is_file():
            images[role] = _read(path / name, beside_bytes=sum(part.nbytes for part in images.values()))
    notes = (
        (f"Left out: {UNLABELLED}. Give it by its own path to train on it.",) if (path / UNLABELLED).exists() else ()
    )
    return Found.of(images, notes=notes, in_published_order=True)


def _read(path: Path, *, beside_bytes: int = 0) -> np.ndarray:
    where = place(path)
    with reading(where), path.open("rb") as file:
        size = path.stat().st_size
        if size == 0 or size % IMAGE_BYTES:
            raise BadData(
                f"{where}: must hold images of {IMAGE_BYTES:,} bytes, 96×96×3, but its {size:,} bytes are not.\n"
                "Get it again."
            )
        refuse_too_large((size // IMAGE_BYTES, *PLANES), 1, where=where, beside_bytes=beside_bytes)
        content = read_exactly(file, size, where=where)
    return np.frombuffer(content, np.uint8).reshape(-1, *PLANES).transpose(0, 3, 2, 1)
