"""Parquet as Hugging Face, pandas and Polars write it, TFRecords, IDX files of other names, STL-10."""

import gzip
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.people_files.arrays import grey_pixels
from tests.support.people_files.case import Case
from tests.support.people_files.drawings import drawings, encoded
from tests.support.pictures import idx_bytes

GREY, COLOUR = partial(drawings, 200), partial(drawings, 200, 32, 32, 3)
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def parquet(folder: Path, name: str = "a.parquet", **columns: Any) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name, row_group_size=64)
    return folder / name


def structs(images: np.ndarray) -> pa.Array:
    return pa.array([{"bytes": encoded(image), "path": None} for image in images], STRUCT)


def hub_folder(folder: Path, inside: str = "data") -> Path:
    images = drawings(300)
    for name, first, last in (
        ("train-00000-of-00002", 0, 120),
        ("train-00001-of-00002", 120, 200),
        ("validation-00000-of-00001", 200, 240),
        ("test-00000-of-00001", 240, 300),
    ):
        part = images[first:last]
        parquet(folder / "hub" / inside, f"{name}.parquet", image=structs(part), label=[0] * len(part))
    return folder / "hub"


def tensors(images: np.ndarray) -> pa.Array:
    flat = pa.FixedSizeListArray.from_arrays(pa.array(images.reshape(-1)), int(np.prod(images.shape[1:])))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), images.shape[1:]), flat)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(features: dict[str, bytes | int]) -> bytes:
    """A tf.train.Example, byte by byte as its .proto files say."""
    entries = b""
    for name, value in features.items():
        kind = field(1, field(1, value)) if isinstance(value, bytes) else field(3, field(1, varint(value)))
        entries += field(1, field(1, name.encode()) + field(2, kind))
    return field(1, entries)


def tfrecords(path: Path, records: list[bytes], *, packed: bool = False) -> Path:
    path.parent.mkdir(exist_ok=True)
    framed = b"".join(struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4) for record in records)
    path.write_bytes(gzip.compress(framed) if packed else framed)
    return path


def tfds(folder: Path) -> Path:
    for part, count in (("train", 200), ("test", 60)):
        records = [example({"image": encoded(image), "label": 3}) for image in drawings(count)]
        tfrecords(folder / "tfds" / f"mnist-{part}.tfrecord-00000-of-00001", records)
    return folder / "tfds"


def raw_tfrecords(folder: Path) -> Path:
    images = drawings(200, 20, 30)
    records = [example({"image_raw": image.tobytes(), "height": 20, "width": 30, "depth": 1}) for image in images]
    return tfrecords(folder / "a.tfrecords", records, packed=True)


def emnist(folder: Path) -> Path:
    (folder / "emnist").mkdir()
    for part, count in (("train", 200), ("test", 60)):
        stored = np.ascontiguousarray(drawings(count).swapaxes(1, 2))
        name = f"emnist-letters-{part}-images-idx3-ubyte.gz"
        (folder / "emnist" / name).write_bytes(gzip.compress(idx_bytes(stored)))
    return folder / "emnist"


def stl10(folder: Path) -> Path:
    (folder / "stl10_binary").mkdir()
    for part, count in (("train", 120), ("test", 40), ("unlabeled", 3)):
        planes = drawings(count, 96, 96, 3).transpose(0, 3, 2, 1)
        (folder / "stl10_binary" / f"{part}_X.bin").write_bytes(planes.tobytes())
    return folder / "stl10_binary"


def nested(images: np.ndarray) -> pa.Array:
    kind = pa.uint8()
    for _ in images.shape[1:]:
        kind = pa.list_(kind)
    return pa.array([image.tolist() for image in images], kind)


CASES = [
    Case(
        name="hub",
        shape="Parquet of Hugging Face: `image: struct<bytes, path>`, or bytes alone",
        outcome="the column of pictures; several that may be meant: `data.column: NAME`",
        make=lambda f: parquet(f, image=structs(GREY()), label=[0] * 200),
        pixels=grey_pixels,
    ),
    Case(
        name="hub folder",
        shape="a folder of Parquet shards, with parts in their names or in those of folders",
        outcome="its own parts: `train-00000-of-00002.parquet`, `validation-…`, `test-…`",
        make=hub_folder,
        parts=(200, 40, 60),
        pixels=lambda: drawings(300)[:240, ..., None],
    ),
    Case(
        name="nested lists",
        shape="Parquet with nested lists (2-D, 3-D), flat lists, tensors, lists of one picture, `binary_view`",
        outcome="read; flat lists are square images",
        make=lambda f: parquet(f, image=nested(GREY()), label=[0] * 200),
        pixels=grey_pixels,
    ),
    Case(
        name="nested lists, 3-D",
        shape="",
        make=lambda f: parquet(f, img=nested(COLOUR()[:100])),
        parts=(100, None, None),
        shape_of=(32, 32, 3),
        pixels=lambda: COLOUR()[:100],
    ),
    Case(
        name="list in a list",
        shape="",
        make=lambda f: parquet(f, image=pa.array([[image.ravel().tolist()] for image in GREY()])),
        pixels=grey_pixels,
    ),
    Case(
        name="tensors",
        shape="",
        make=lambda f: parquet(f, pixels=tensors(drawings(200, 20, 30))),
        shape_of=(20, 30, 1),
        pixels=lambda: drawings(200, 20, 30)[..., None],
    ),
    Case(
        name="binary view",
        shape="",
        make=lambda f: parquet(f, image=pa.array([encoded(image) for image in GREY()], pa.binary_view())),
        pixels=grey_pixels,
    ),
    Case(
        name="list of pictures",
        shape="",
        make=lambda f: parquet(f, images=pa.array([[{"bytes": encoded(i), "path": None}] for i in GREY()])),
        pixels=grey_pixels,
    ),
    Case(
        name="two columns",
        shape="",
        make=lambda f: parquet(f, left=structs(GREY()), right=structs(GREY())),
        refused="data.column: left",
    ),
    Case(
        name="two columns, one chosen",
        shape="",
        make=lambda f: parquet(f, left=structs(drawings(seed=4)), right=structs(GREY())),
        choices={"column": "right"},
        pixels=grey_pixels,
        said=("Read from the column right.",),
    ),
    Case(
        name="picture beside a mask",
        shape="",
        make=lambda f: parquet(f, photo=structs(GREY()), mask=structs(GREY()), bbox=[[1.0, 2.0, 3.0, 4.0]] * 200),
        pixels=grey_pixels,
    ),
    Case(
        name="columns",
        shape="Parquet with a column for each pixel",
        outcome="square images",
        make=lambda f: parquet(
            f, label=[1] * 200, **{f"pixel{i}": column for i, column in enumerate(GREY().reshape(200, -1).T)}
        ),
        pixels=grey_pixels,
    ),
    Case(
        name="paths",
        shape="Parquet that names files",
        outcome="refused: give their folder, or the line that puts them in",
        make=lambda f: parquet(f, image=[{"bytes": None, "path": f"a/{i}.png"} for i in range(200)]),
        refused="names files, which are not followed",
    ),
    Case(
        name="tfds",
        shape="TFRecord of `tf.train.Example`, one file or shards, packed or not",
        outcome="its pictures, encoded, or raw bytes with `height` and `width`; of several: `data.column: NAME`",
        make=tfds,
        parts=(200, None, 60),
        pixels=grey_pixels,
        said=("Read from the feature image.",),
    ),
    Case(
        name="raw tfrecords",
        shape="",
        make=raw_tfrecords,
        shape_of=(20, 30, 1),
        pixels=lambda: drawings(200, 20, 30)[..., None],
    ),
    Case(
        name="tfrecords of something else",
        shape="",
        make=lambda f: tfrecords(f / "a.tfrecord", [image.tobytes() for image in GREY()]),
        refused="must be of tf.train.Example",
    ),
    Case(
        name="emnist",
        shape="IDX files of EMNIST's and others' names (`emnist-letters-train-images-idx3-ubyte.gz`)",
        outcome="their own parts; EMNIST's images are set upright, and said",
        make=emnist,
        parts=(200, None, 60),
        pixels=grey_pixels,
        said=("EMNIST's images were published with rows and columns exchanged",),
    ),
    Case(
        name="stl10",
        shape="STL-10's binary folder, or one of its files",
        outcome="`train_X.bin` and `test_X.bin`; `unlabeled_X.bin` by its own path",
        make=stl10,
        parts=(120, None, 40),
        shape_of=(96, 96, 3),
        pixels=lambda: drawings(120, 96, 96, 3),
        said=("Left out: unlabeled_X.bin.",),
    ),
]
