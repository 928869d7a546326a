"""The IDX files of the MNIST family, gzipped or not."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from vae_search.data.checks import check_size
from vae_search.errors import BadData

IMAGES_MAGIC = 0x0803  # unsigned bytes, three dimensions
HEADER_BYTES = 16


def find(folder: Path, part: str) -> Path | None:
    """The image file of `part` ("train" or "t10k") in a folder, by any of its usual names."""
    for stem in (f"{part}-images-idx3-ubyte", f"{part}-images.idx3-ubyte"):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
    return None


def read(path: Path) -> np.ndarray:
    """The images of one file: (n, height, width) uint8.

    Raises:
        BadData: It is no IDX image file, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"{path}: cannot be read: {error}. Copy the file again.") from error
    header = [int(number) for number in np.frombuffer(content[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0"), ">u4")]
    magic, *shape = header
    if magic != IMAGES_MAGIC:
        raise BadData(
            f"{path}: an IDX image file begins with {IMAGES_MAGIC:#010x}, but this one with {magic:#010x}. "
            "Is it the labels file?"
        )
    check_size(tuple(shape), 1, where=str(path))
    expected = HEADER_BYTES + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise BadData(f"{path}: must have {expected:,} bytes when decoded, but has {len(content):,}. Copy it again.")
    return np.frombuffer(content, np.uint8, offset=HEADER_BYTES).reshape(shape)
