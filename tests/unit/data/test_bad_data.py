"""A corpus of images that nobody can train on: each is refused in one to three lines that name the place."""

import gzip
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.support.pictures import grey, idx_bytes, png_by_hand, png_bytes, write_folder, write_idx, write_parquet
from vae_search.data.dataset import load_dataset
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "a.npy", array, allow_pickle=True)
    return folder / "a.npy"


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def cut(path: Path, keep: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def with_value(value: float, position: tuple[int, ...] = (3, 0, 0)) -> np.ndarray:
    array = grey() / 255.0
    array[position] = value
    return array


def giant_header() -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (10**7, 100, 100)})
    return buffer.getvalue()


def idx_cut(folder: Path) -> Path:
    write_idx(folder / "i", grey(), grey())
    cut(folder / "i" / "train-images-idx3-ubyte.gz", 0.5)
    return folder / "i"


def idx_labels(folder: Path) -> Path:
    write_idx(folder / "i", grey(), grey())
    (folder / "i" / "t10k-images-idx3-ubyte.gz").unlink()
    (folder / "i" / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(grey(), magic=0x0801))
    return folder / "i"


def idx_short(folder: Path) -> Path:
    write_idx(folder / "i", grey(), grey(), zipped=False)
    cut(folder / "i" / "train-images-idx3-ubyte", 0.9)
    return folder / "i"


def idx_without_test(folder: Path, train: bytes) -> Path:
    (folder / "i").mkdir()
    (folder / "i" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(train))
    return folder / "i"


def idx_bomb(folder: Path) -> Path:
    """Its header announces 2⁵⁰ bytes, and nothing follows: whoever unpacks first finds it truncated instead."""
    return idx_without_test(folder, struct.pack(">IIII", 0x0803, 2**20, 2**15, 2**15))


def idx_half(folder: Path) -> Path:
    write_idx(folder / "i", grey(), grey())
    (folder / "i" / "train-images-idx3-ubyte.gz").unlink()
    return folder / "i"


def folder_mixed(folder: Path) -> Path:
    write_folder(folder / "p", grey())
    (folder / "p" / "0050.png").write_bytes(png_bytes(np.zeros((9, 9), np.uint8)))
    return folder / "p"


def folder_damaged(folder: Path) -> Path:
    write_folder(folder / "p", grey())
    cut(folder / "p" / "0007.png", 0.5)
    return folder / "p"


def folder_empty(folder: Path) -> Path:
    (folder / "p").mkdir()
    (folder / "p" / "readme.txt").write_text("no pictures")
    return folder / "p"


def folder_with(folder: Path, name: str, content: bytes) -> Path:
    write_folder(folder / "p", grey())
    written(folder / "p", name, content)
    return folder / "p"


def folder_beside(folder: Path) -> Path:
    write_folder(folder / "p" / "train", grey())
    write_folder(folder / "p" / "test", grey(20))
    written(folder / "p", "stray.png", png_bytes(grey()[0]))
    return folder / "p"


def folder_16_bits(folder: Path) -> Path:
    deep = np.random.default_rng(9).integers(0, 2**16, (100, 6, 5)).astype(np.uint16)
    write_folder(folder / "p", deep)
    written(folder / "p", "0100.png", png_bytes(grey()[0]))
    return folder / "p"


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def folder_pipe(folder: Path) -> Path:
    write_folder(folder / "p", grey())
    pipe(folder / "p" / "0100.png")
    return folder / "p"


def npz_patched(folder: Path, local_offset: int, central_offset: int, value: int) -> Path:
    """A .npz whose members all have `value` in one two-byte field of both their headers."""
    path = npz(folder, x_train=grey())
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", local_offset), (b"PK\x01\x02", central_offset)):
        struct.pack_into("<H", content, content.index(signature) + offset, value)
    path.write_bytes(content)
    return path


def floats() -> np.ndarray:
    """On no grid."""
    return np.random.default_rng(3).random((200, 8, 8)).astype(np.float32)


def lists(folder: Path, lengths: list[int]) -> Path:
    return write_parquet(folder / "a.parquet", image=pa.array([[1] * length for length in lengths]))


# name, how to make it, what the message must say, what goes into the spec beside the source
CASES: list[tuple[str, Callable[[Path], Path], str, dict[str, object]]] = [
    ("missing", lambda f: f / "nowhere", "No such file", {}),
    ("suffix", lambda f: written(f, "a.xyz", b"1,2"), "it is another file", {}),
    ("no suffix", lambda f: written(f, "a", b"1,2"), "it is another file", {}),
    ("npy text", lambda f: written(f, "a.npy", b"hello"), "NumPy's format", {}),
    ("npy empty file", lambda f: written(f, "a.npy", b""), "NumPy's format", {}),
    ("npy cut", lambda f: cut(npy(f, grey()), 0.6), "truncated", {}),
    ("npy pickle", lambda f: npy(f, np.array([{"a": 1}], dtype=object)), "Python objects", {}),
    ("npy giant", lambda f: written(f, "a.npy", giant_header()), "decoded images must fit in", {}),
    ("npz text", lambda f: written(f, "a.npz", b"hello"), "truncated or damaged", {}),
    ("npz cut", lambda f: cut(npz(f, x_train=grey()), 0.5), "truncated or damaged", {}),
    ("npz no images", lambda f: npz(f, ages=np.zeros(100)), "It holds ages (100,)", {}),
    ("npz two of images", lambda f: npz(f, a=grey(), b=grey()), "data.array: a", {}),
    ("csv of two columns", lambda f: written(f, "a.csv", b"1,2\n3,4\n"), "a column for each pixel", {}),
    ("npz pickle", lambda f: npz(f, x_train=np.array([{}], dtype=object)), "Python objects", {}),
    ("npz shapes differ", lambda f: npz(f, x_train=grey(), x_test=grey(50, 7, 7)), "same size", {}),
    ("npz ranges differ", lambda f: npz(f, x_train=grey(), x_test=(grey() > 9)), "share a scale", {}),
    ("npz few test images", lambda f: npz(f, x_train=grey(), x_test=grey(3)), "at least 16 test images are needed", {}),
    ("none of black and white", lambda f: npz(f, x_train=grey(300) > 9), "black or white", {"binarize": "none"}),
    ("none of floats", lambda f: npy(f, floats()), "needs whole numbers", {"binarize": "none"}),
    (
        "none of two scales",
        lambda f: npz(f, x_train=grey(300), x_test=(grey(50) > 9).astype(np.float32)),
        "white is 1.0 and 255.0",
        {"binarize": "none"},
    ),
    ("parquet text", lambda f: written(f, "a.parquet", b"hello"), "complete Parquet file", {}),
    ("parquet cut", lambda f: cut(lists(f, [9] * 100), 0.8), "complete Parquet file", {}),
    ("parquet no column", lambda f: write_parquet(f / "a.parquet", label=[1, 2]), "but none does", {}),
    ("parquet lengths", lambda f: lists(f, [16] * 99 + [9]), "row 99 holds 9", {}),
    ("parquet not square", lambda f: lists(f, [15] * 100), "they hold 15", {}),
    ("parquet null", lambda f: write_parquet(f / "a.parquet", image=[b"x", None]), "row 1 holds none", {}),
    ("parquet damaged", lambda f: write_parquet(f / "a.parquet", image=[b"x"] * 90), "row 0", {}),
    ("folder empty", folder_empty, "holds neither", {}),
    ("folder mixed sizes", folder_mixed, "0050.png", {}),
    ("folder damaged", folder_damaged, "0007.png", {}),
    ("idx cut gzip", idx_cut, "train-images", {}),
    ("idx labels", idx_labels, "it holds labels", {}),
    ("idx short", idx_short, "it is truncated", {}),
    ("idx half", idx_half, "needs train-images", {}),
    ("empty", lambda f: npy(f, grey(0)), "there must be images", {}),
    ("one image", lambda f: npy(f, grey(1)), "but there are 1.", {}),
    ("rank 2", lambda f: npy(f, np.zeros((100, 65))), "Are they flattened?", {}),
    ("rank 5", lambda f: npy(f, np.zeros((100, 1, 6, 6, 1))), "images must be (count", {}),
    ("four channels first", lambda f: npy(f, np.zeros((100, 4, 8, 8))), "with 1 or 3 channels", {}),
    ("two channels", lambda f: npy(f, np.zeros((100, 8, 8, 2))), "with 1 or 3 channels", {}),
    ("too small", lambda f: npy(f, grey(100, 3, 3)), "they are 3×3", {}),
    ("too large", lambda f: npy(f, np.zeros((100, 600, 5), np.uint8)), "they are 600×5", {}),
    ("nan", lambda f: npy(f, with_value(np.nan)), "1 of 100 images hold NaN or infinity (first: image 3)", {}),
    ("inf", lambda f: npy(f, with_value(np.inf)), "(first: image 3)", {}),
    ("floats 0..300", lambda f: npy(f, grey().astype(np.float32) * 1.2), "[0, 306]", {}),
    ("floats -0.3..1", lambda f: npy(f, grey() / 255 * 1.2 - 0.3), "(images + 1) / 2", {}),
    ("floats wild", lambda f: npy(f, with_value(-700.0)), "[-700", {}),
    ("negative ints", lambda f: npy(f, grey().astype(np.int16) - 5), "lie in -5 …", {}),
    ("large ints", lambda f: npy(f, grey().astype(np.int32) * 2), "0 … 255", {}),
    ("constant", lambda f: npy(f, np.full((100, 6, 6), 7, np.uint8)), "all 100 are the same", {}),
    ("complex", lambda f: npy(f, grey().astype(np.complex64)), "complex64", {}),
    ("text array", lambda f: npy(f, np.array([["a"] * 6] * 100)), "their type is str", {}),
    ("own test", lambda f: npz(f, x_train=grey(), x_test=grey()), "100 test images of its own", {"test": 10}),
    ("validation too large", lambda f: npy(f, grey()), "data.validation", {"validation": 95}),
    ("validation too small", lambda f: npy(f, grey()), "at least 32 images", {"validation": 4}),
    ("test too small", lambda f: npy(f, grey(400)), "data.test must be at least 16", {"test": 5}),
    ("pictures of 16 bits and of 8", folder_16_bits, "must have one kind of pixel", {}),
    ("white is 16", lambda f: npy(f, (grey() // 16).astype(np.uint8)), "white is 255", {}),
    ("one image 200 times", lambda f: npy(f, np.repeat(grey(1), 200, axis=0)), "all 200 are the same", {}),
    ("pictures beside train and test", folder_beside, "(first: stray.png)", {}),
    ("npz encrypted", lambda f: npz_patched(f, 6, 8, 1), "encrypted", {}),
    ("npz unknown compression", lambda f: npz_patched(f, 8, 10, 97), "compression", {}),
    ("npz damaged sum", lambda f: npz_patched(f, 14, 16, 1), "truncated or damaged", {}),
    ("idx bomb", idx_bomb, "decoded images must fit in", {}),
    ("idx longer than its header", lambda f: idx_without_test(f, idx_bytes(grey()) + b"more"), "holds more", {}),
    ("idx header cut", lambda f: idx_without_test(f, idx_bytes(grey())[:9]), "within its header", {}),
    ("npy longer than its header", lambda f: written(f, "a.npy", npy(f, grey()).read_bytes() + b"1"), "holds more", {}),
    ("huge picture", lambda f: folder_with(f, "0000.png", png_by_hand(9_000, 9_000)), "at most 512 pixels", {}),
    ("picture bomb", lambda f: folder_with(f, "0000.png", png_by_hand(60_000, 60_000)), "at most 512 pixels", {}),
    ("pipe", lambda f: pipe(f / "a.npy"), "it is a pipe", {}),
    ("pipe among pictures", folder_pipe, "0100.png: must be a file", {}),
    ("text as picture", lambda f: folder_with(f, "0000.png", b"hello"), "must be a picture", {}),
]


@pytest.mark.parametrize(("make", "fragment", "fields"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_images_are_refused_with_place_and_remedy(tmp_path, make, fragment, fields):
    path = make(tmp_path)

    with pytest.raises(BadData) as error:
        load_dataset(DataSpec(source=str(path), **fields), cache=tmp_path)

    message = str(error.value)
    assert fragment in message
    assert str(path) in message
    assert 1 <= len(message.splitlines()) <= 3


def test_specs_and_data_sets_together_make_a_corpus_of_more_than_sixty_mistakes():
    assert len(CASES) >= 67
    assert len({case[0] for case in CASES}) == len(CASES)
