"""Small data sets of every kind, written to a folder."""

import gzip
import io
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def grey(count: int = 100, height: int = 6, width: int = 5) -> np.ndarray:
    """(count, height, width) uint8 noise."""
    return np.random.default_rng(7).integers(0, 256, (count, height, width)).astype(np.uint8)


def colour(count: int = 100) -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (count, 6, 5, 3)).astype(np.uint8)


def idx_bytes(images: np.ndarray, magic: int = 0x0803) -> bytes:
    return struct.pack(">IIII", magic, *images.shape) + images.tobytes()


def write_idx(folder: Path, train: np.ndarray, test: np.ndarray, *, zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, images in (("train", train), ("t10k", test)):
        name = f"{part}-images-idx3-ubyte"
        content = idx_bytes(images)
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return folder


def png_bytes(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def png_by_hand(width: int, height: int, *, bits: int = 8, kind: int = 0, rows: bytes = b"") -> bytes:
    """A PNG with this header, whatever its pixels are; `rows` each begin with a filter byte of 0."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def write_folder(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        (folder / f"{number:04d}.png").write_bytes(png_bytes(image))
    return folder


def write_parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


CIFAR10_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


def cifar10_batches(count: int = 20) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (count, 32, 32, 3) and labels (count,) of each of CIFAR-10's six files."""
    rng = np.random.default_rng(9)
    return {
        name: (rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8), rng.integers(0, 10, count).astype(np.uint8))
        for name in CIFAR10_FILES
    }


def cifar10_bytes(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A file of CIFAR-10's binary version, written byte for byte as its page describes it."""
    planes = (b"".join(image[..., channel].tobytes() for channel in range(3)) for image in images)
    return b"".join(bytes([label]) + pixels for label, pixels in zip(labels, planes, strict=True))


def cifar10_contents(count: int = 20) -> dict[str, bytes]:
    return {name: cifar10_bytes(*batch) for name, batch in cifar10_batches(count).items()}


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def cifar10_archive(contents: dict[str, bytes]) -> bytes:
    """`cifar-10-binary.tar.gz` as it is published: in a folder, with a description and names of the classes beside."""
    beside = {"readme.html": b"<html>", "batches.meta.txt": b"airplane\nautomobile\n"}
    return tar_gz({f"cifar-10-batches-bin/{name}": content for name, content in (beside | contents).items()})
