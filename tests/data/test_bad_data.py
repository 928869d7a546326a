"""A corpus of images that nobody can train on: each is refused in one to three lines that name the place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.data.pictures import grey, idx_bytes, png_bytes, write_folder, write_idx, write_parquet
from vae_search.data.dataset import load_dataset
from vae_search.errors import BadData
from vae_search.spec import DataSpec


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
    import io

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


def idx_half(folder: Path) -> Path:
    write_idx(folder / "i", grey(), grey())
    (folder / "i" / "t10k-images-idx3-ubyte.gz").unlink()
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


def lists(folder: Path, lengths: list[int]) -> Path:
    return write_parquet(folder / "a.parquet", image=pa.array([[1] * length for length in lengths]))


# name, how to make it, what the message must say, what goes into the spec beside the source
CASES: list[tuple[str, Callable[[Path], Path], str, dict[str, object]]] = [
    ("missing", lambda f: f / "nowhere", "no file or folder", {}),
    ("suffix", lambda f: written(f, "a.csv", b"1,2"), "ends in .csv", {}),
    ("no suffix", lambda f: written(f, "a", b"1,2"), "ends in nothing", {}),
    ("npy text", lambda f: written(f, "a.npy", b"hello"), "no intact NumPy file", {}),
    ("npy empty file", lambda f: written(f, "a.npy", b""), "no intact NumPy file", {}),
    ("npy cut", lambda f: cut(npy(f, grey()), 0.6), "no intact NumPy file", {}),
    ("npy pickle", lambda f: npy(f, np.array([{"a": 1}], dtype=object)), "Python objects", {}),
    ("npy giant", lambda f: written(f, "a.npy", giant_header()), "8 GiB", {}),
    ("npz text", lambda f: written(f, "a.npz", b"hello"), "no intact NumPy file", {}),
    ("npz cut", lambda f: cut(npz(f, x_train=grey()), 0.5), "no intact NumPy file", {}),
    ("npz other key", lambda f: npz(f, images=grey()), "holds images", {}),
    ("npz pickle", lambda f: npz(f, x_train=np.array([{}], dtype=object)), "Python objects", {}),
    ("npz shapes differ", lambda f: npz(f, x_train=grey(), x_test=grey(50, 7, 7)), "one shape", {}),
    ("npz ranges differ", lambda f: npz(f, x_train=grey(), x_test=(grey() > 9)), "one range", {}),
    ("npz few test images", lambda f: npz(f, x_train=grey(), x_test=grey(3)), "(test)", {}),
    ("parquet text", lambda f: written(f, "a.parquet", b"hello"), "no intact Parquet file", {}),
    ("parquet cut", lambda f: cut(lists(f, [9] * 100), 0.8), "no intact Parquet file", {}),
    ("parquet no column", lambda f: write_parquet(f / "a.parquet", label=[1, 2]), "column `image`", {}),
    ("parquet lengths", lambda f: lists(f, [16] * 99 + [9]), "lengths are 9, 16", {}),
    ("parquet not square", lambda f: lists(f, [15] * 100), "lengths are 15", {}),
    ("parquet null", lambda f: write_parquet(f / "a.parquet", image=[b"x", None]), "1 empty value", {}),
    ("parquet damaged", lambda f: write_parquet(f / "a.parquet", image=[b"x"] * 90), "row 0", {}),
    ("folder empty", folder_empty, "holds none", {}),
    ("folder mixed sizes", folder_mixed, "0050.png", {}),
    ("folder damaged", folder_damaged, "0007.png", {}),
    ("idx cut gzip", idx_cut, "train-images", {}),
    ("idx labels", idx_labels, "labels file", {}),
    ("idx short", idx_short, "bytes when decoded", {}),
    ("idx half", idx_half, "both", {}),
    ("empty", lambda f: npy(f, grey(0)), "at least 80 images, but got 0", {}),
    ("one image", lambda f: npy(f, grey(1)), "got 1", {}),
    ("rank 2", lambda f: npy(f, np.zeros((100, 64))), "must have shape", {}),
    ("rank 5", lambda f: npy(f, np.zeros((100, 1, 6, 6, 1))), "must have shape", {}),
    ("channels first", lambda f: npy(f, np.zeros((100, 3, 8, 8))), "transpose(0, 2, 3, 1)", {}),
    ("two channels", lambda f: npy(f, np.zeros((100, 8, 8, 2))), "1 or 3 channels", {}),
    ("too small", lambda f: npy(f, grey(100, 3, 3)), "3×3", {}),
    ("too large", lambda f: npy(f, np.zeros((100, 600, 5), np.uint8)), "600×5", {}),
    ("nan", lambda f: npy(f, with_value(np.nan)), "1 of 100 images hold NaN or infinity (first: image 3)", {}),
    ("inf", lambda f: npy(f, with_value(np.inf)), "(first: image 3)", {}),
    ("floats 0..255", lambda f: npy(f, grey().astype(np.float32)), "Divide by 255", {}),
    ("floats -1..1", lambda f: npy(f, grey() / 127.5 - 1), "(x + 1) / 2", {}),
    ("floats wild", lambda f: npy(f, with_value(-700.0)), "[-700", {}),
    ("negative ints", lambda f: npy(f, grey().astype(np.int16) - 5), "range over -5..", {}),
    ("large ints", lambda f: npy(f, grey().astype(np.int32) * 2), "0..255", {}),
    ("constant", lambda f: npy(f, np.full((100, 6, 6), 7, np.uint8)), "all pixels of all images", {}),
    ("complex", lambda f: npy(f, grey().astype(np.complex64)), "complex64", {}),
    ("text array", lambda f: npy(f, np.array([["a"] * 6] * 100)), "must hold numbers", {}),
    ("own test", lambda f: npz(f, x_train=grey(), x_test=grey()), "test split of its own", {"test": 10}),
    ("validation too large", lambda f: npy(f, grey()), "data.validation", {"validation": 95}),
    ("validation too small", lambda f: npy(f, grey()), "select images are needed", {"validation": 4}),
    ("test too small", lambda f: npy(f, grey(400)), "test images are needed", {"test": 5}),
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
    assert len(CASES) >= 50
