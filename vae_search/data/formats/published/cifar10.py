"""CIFAR-10's binary version (Krizhevsky 2009), a folder or the archive it is published in.

https://www.cs.toronto.edu/~kriz/cifar.html: six files of records, each a byte of label and then 32×32 bytes of red, of
green and of blue. Nothing is unpickled, and an archive is read without being unpacked to anywhere.
"""

import gzip
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from vae_search.data.formats.safe_reading import BLOCK_BYTES, place, read_exactly, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
FILES = (*TRAIN_FILES, TEST_FILE)
ARCHIVED_IN = "cifar-10-batches-bin/"  # the folder inside the archive
IMAGE_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
CLASSES = 10
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cifar10:
    """Args:
    train: (count, 32, 32, 3) uint8, the five batches one after another.
    train_labels, test_labels: (count,) uint8, 0 … 9.
    test: as `train`.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    test: np.ndarray


def is_cifar10_folder(folder: Path) -> bool:
    """True if a folder holds a file of CIFAR-10's, of the binary version or of the pickled one, which is refused."""
    return any((folder / name).exists() for file in FILES for name in (file, file.removesuffix(".bin")))


def holds_cifar10(endings: Collection[str]) -> bool:
    """True if an archive without pictures, of files with these endings, may be CIFAR-10's."""
    return not endings or ".bin" in endings or "without an ending" in endings


def read_cifar10_folder(folder: Path) -> Cifar10:
    """Read the six files of an unpacked archive.

    Raises:
        BadData: A file is missing, or is not what it should be.
    """
    contents = {}
    for name in FILES:
        path = folder / name
        if path.is_file():
            with reading(place(path)), path.open("rb") as file:
                contents[name] = _content(file, path.stat().st_size, where=place(path))
    return _joined(contents, where=place(folder))


def read_cifar10_archive(file: IO[bytes], *, where: str) -> Cifar10:
    """Read `cifar-10-binary.tar.gz`.

    Raises:
        BadData: It is no such archive, is damaged, or a file in it is missing or not what it should be.
    """
    contents: dict[str, bytes] = {}
    with reading(where), gzip.open(file) as unpacked:
        # A stream: whatever the archive says, no place in it is gone to, and nothing is written.
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./").removeprefix(ARCHIVED_IN)
                opened = archive.extractfile(member) if name in FILES and member.isreg() else None
                if opened is None:
                    continue
                if name in contents:
                    raise BadData(f"{where}: must hold each file once, but {name} is in it twice. Get it again.")
                contents[name] = _content(opened, member.size, where=f"{where}: {name}")
        while unpacked.read(BLOCK_BYTES):  # to its end, where the checksum of all of it is
            pass
    return _joined(contents, where=where)


def _content(file: IO[bytes], size: int, *, where: str) -> bytes:
    if size == 0 or size % RECORD_BYTES:
        raise BadData(
            f"{where}: must hold records of {RECORD_BYTES:,} bytes, a label and 32×32×3 pixels, "
            f"but its {size:,} bytes are not.\nGet it again."
        )
    refuse_too_large((size // RECORD_BYTES, *IMAGE_SHAPE), 1, where=where)
    return bytes(read_exactly(file, size, where=where))


def _joined(contents: dict[str, bytes], *, where: str) -> Cifar10:
    missing = [name for name in FILES if name not in contents]
    if missing:
        raise BadData(
            f"{where}: must hold the six files of CIFAR-10's binary version, but there is no {', '.join(missing)}.\n"
            "Get cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html; pickles are not read."
        )
    sizes = {len(contents[name]) for name in TRAIN_FILES}
    if len(sizes) > 1:
        found = " to ".join(f"{size // RECORD_BYTES:,}" for size in (min(sizes), max(sizes)))
        raise BadData(
            f"{where}: the five training batches must hold equally many images, but they hold {found}. Get it again."
        )
    (train, labels), (test, test_labels) = (
        _decoded([contents.pop(name) for name in names], names, where=where) for names in (TRAIN_FILES, (TEST_FILE,))
    )
    return Cifar10(train=train, train_labels=labels, test=test, test_labels=test_labels)


def _decoded(batches: list[bytes], names: tuple[str, ...], *, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 32, 32, 3) and labels (count,)."""
    records = [np.frombuffer(batch, np.uint8).reshape(-1, RECORD_BYTES) for batch in batches]
    for name, batch in zip(names, records, strict=True):
        highest = int(batch[:, 0].max())
        if highest >= CLASSES:
            raise BadData(
                f"{where}: {name}: labels must be 0 to {CLASSES - 1}, but one is {highest}.\n"
                "Is it CIFAR-100, or damaged? Get cifar-10-binary.tar.gz again."
            )
    images = [np.moveaxis(batch[:, 1:].reshape(-1, *IMAGE_SHAPE), 1, -1) for batch in records]
    return np.concatenate(images), np.concatenate([batch[:, 0] for batch in records])
