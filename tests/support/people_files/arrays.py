"""Files of arrays: NumPy's, HDF5, MATLAB's, tables of numbers."""

import gzip
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from tests.support.people_files.case import Case
from tests.support.people_files.drawings import drawings

GREY = partial(drawings, 200)
COLOUR = partial(drawings, 200, 32, 32, 3)


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez_compressed(folder / "a.npz", **arrays)
    return folder / "a.npz"


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "a.npy", array)
    return folder / "a.npy"


def unnamed(folder: Path, *arrays: np.ndarray) -> Path:
    np.savez(folder / "a.npz", *arrays)
    return folder / "a.npz"


def medmnist(folder: Path, channels: int = 1) -> Path:
    images = drawings(300, channels=channels)
    labels = np.arange(300)[:, None] % 5
    return npz(
        folder,
        train_images=images[:200],
        val_images=images[200:240],
        test_images=images[240:],
        train_labels=labels[:200],
        val_labels=labels[200:240],
        test_labels=labels[240:],
    )


def dsprites(folder: Path) -> Path:
    return npz(
        folder,
        metadata=np.array({"author": "x"}, dtype=object),
        imgs=(drawings(200, 64, 64) > 90).astype(np.uint8),
        latents_values=np.random.default_rng(1).random((200, 6)),
        latents_classes=np.zeros((200, 6), np.int64),
    )


def hdf5(folder: Path, **sets: np.ndarray) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        for name, values in sets.items():
            file.create_dataset(name.replace("__", "/"), data=values, compression="gzip")
    return folder / "a.h5"


def matlab(folder: Path, name: str = "a.mat", **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    scipy.io.savemat(folder / name, arrays, do_compression=True)
    return folder / name


def matlab_73(folder: Path, **arrays: np.ndarray) -> Path:
    """As MATLAB writes it: an HDF5 file behind 512 bytes of text, axes in the opposite order."""
    with h5py.File(folder / "a.mat", "w", userblock_size=512) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values.transpose())
        file.create_dataset("#refs#/b", data=np.zeros((50, 60, 70)))
    with (folder / "a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
    return folder / "a.mat"


def svhn_folder(folder: Path) -> Path:
    images = drawings(260, 32, 32, 3)
    for name, part in (("train", images[:200]), ("test", images[200:])):
        matlab(folder / "svhn", f"{name}_32x32.mat", X=np.moveaxis(part, 0, -1), y=np.ones((len(part), 1), np.uint8))
    return folder / "svhn"


def omniglot(folder: Path) -> Path:
    images = (drawings() > 90).astype(float)
    flat = images.swapaxes(1, 2).reshape(200, -1)  # column by column
    return matlab(folder, data=flat.T, target=np.zeros((50, 200)), testdata=flat[:60].T)


def csv(folder: Path, *, header: bool = True, label: bool = True, name: str = "train.csv") -> Path:
    rows = drawings().reshape(200, -1)
    names = [f"pixel{number}" for number in range(784)]
    if label:
        rows, names = np.c_[np.arange(200) % 10, rows], ["label", *names]
    text = "".join(",".join(map(str, row)) + "\n" for row in (*([names] if header else []), *rows.tolist()))
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder / name


def labels_last(folder: Path) -> Path:
    np.savetxt(folder / "a.csv", np.c_[GREY().reshape(200, -1), np.arange(200) % 9], fmt="%d", delimiter=",")
    return folder / "a.csv"


def npy_each(folder: Path) -> Path:
    (folder / "npys").mkdir()
    for number, image in enumerate(drawings()):
        np.save(folder / "npys" / f"{number:04}.npy", image)
    return folder / "npys"


def npy_class_each(folder: Path) -> Path:
    (folder / "quickdraw").mkdir()
    for name, part in (("cat", drawings()[:120]), ("dog", drawings()[120:])):
        np.save(folder / "quickdraw" / f"{name}.npy", part.reshape(len(part), -1))
    return folder / "quickdraw"


def npy_parts(folder: Path) -> Path:
    (folder / "arrays").mkdir()
    for name, part in (("x_train", GREY()), ("x_test", drawings(60, seed=2)), ("y_train", np.arange(200) % 7)):
        np.save(folder / "arrays" / f"{name}.npy", part)
    return folder / "arrays"


def kmnist(folder: Path) -> Path:
    (folder / "kmnist").mkdir()
    for part, count in (("train", 200), ("test", 60)):
        np.savez(folder / "kmnist" / f"kmnist-{part}-imgs.npz", drawings(count))
        np.savez(folder / "kmnist" / f"kmnist-{part}-labels.npz", np.arange(count) % 10)
    return folder / "kmnist"


def grey_pixels() -> np.ndarray:
    return GREY()[..., None]


CASES = [
    Case(
        name="medmnist",
        shape="`.npz` with `train_images`, `val_images`, `test_images` (MedMNIST), labels beside",
        outcome="its own three parts",
        make=medmnist,
        parts=(200, 40, 60),
        pixels=lambda: drawings(300)[:240, ..., None],
        said=("train_images (train), val_images (validation), test_images (test)",),
    ),
    Case(
        name="medmnist in colour",
        shape="",
        make=partial(medmnist, channels=3),
        parts=(200, 40, 60),
        shape_of=(28, 28, 3),
    ),
    Case(
        name="keras",
        shape="`.npz` with `x_train`, and `x_test` if there is one (Keras)",
        outcome="these two; `x_val` and others are left out, and said",
        make=lambda f: npz(
            f, x_train=GREY(), x_test=drawings(60, seed=2), x_val=drawings(40, seed=3), y_train=np.ones(200)
        ),
        parts=(200, None, 60),
        pixels=grey_pixels,
        said=("Left out of the file: x_val.",),
    ),
    Case(
        name="unnamed array",
        shape="`.npz` with one array, whatever it is called (`arr_0`, `images`, `imgs`, `data`, `X`)",
        outcome="that array",
        make=lambda f: unnamed(f, GREY()),
        pixels=grey_pixels,
        said=("Read from the array arr_0.",),
    ),
    Case(name="unnamed beside labels", shape="", make=lambda f: unnamed(f, GREY(), np.ones(200)), pixels=grey_pixels),
    Case(name="named images", shape="", make=lambda f: npz(f, images=GREY(), labels=np.ones(200)), pixels=grey_pixels),
    Case(
        name="several arrays",
        shape="… with several arrays that may be the images",
        outcome="refused with the line `data.array: NAME`",
        make=lambda f: npz(f, left=GREY(), right=GREY()),
        refused="data.array: left",
    ),
    Case(
        name="several arrays, one chosen",
        shape="",
        make=lambda f: npz(f, left=drawings(seed=5), right=GREY()),
        choices={"array": "right"},
        pixels=grey_pixels,
        said=("Read from the array right.", "Left out of the file: left."),
    ),
    Case(
        name="dsprites",
        shape="`.npz` of dSprites: `imgs`, `latents_values` …",
        outcome="`imgs`; latents are neither images nor labels",
        make=dsprites,
        shape_of=(64, 64, 1),
        pixels=lambda: (drawings(200, 64, 64) > 90).astype(np.uint8)[..., None],
    ),
    Case(
        name="channels first",
        shape="(count, channels, height, width), (height, width, count), (height, width, channels, count)",
        outcome="axes put in order, and said",
        make=lambda f: npy(f, np.moveaxis(COLOUR(), -1, 1)),
        shape_of=(32, 32, 3),
        pixels=COLOUR,
        said=("The channels came first",),
    ),
    Case(
        name="counted last, in colour",
        shape="",
        make=lambda f: npy(f, np.moveaxis(COLOUR(), 0, -1)),
        shape_of=(32, 32, 3),
        pixels=COLOUR,
        said=("The images were counted last",),
    ),
    Case(
        name="counted last",
        shape="",
        make=lambda f: npy(f, np.moveaxis(GREY(), 0, -1)),
        pixels=grey_pixels,
        said=("The images were counted last",),
    ),
    Case(
        name="flat",
        shape="(count, side²), as QuickDraw's `.npy`",
        outcome="as square images, and said",
        make=lambda f: npy(f, GREY().reshape(200, -1)),
        pixels=grey_pixels,
        said=("Each row of 784 numbers was read as an image of 28×28.",),
    ),
    Case(
        name="flat colours",
        shape="(count, 3 · side²)",
        outcome="refused with the two lines between which only you can choose",
        make=lambda f: npy(f, COLOUR().reshape(200, -1)),
        refused="images.reshape(-1, 32, 32, 3)",
    ),
    Case(
        name="centred",
        shape="floats in [-1, 1], floats in 0 … 255",
        outcome="told apart by their ends, scaled, and said",
        make=lambda f: npy(f, (GREY() / 127.5 - 1).astype(np.float32)),
        pixels=grey_pixels,
        said=("The pixels lay in [-1, 1]",),
    ),
    Case(
        name="bytes as floats",
        shape="",
        make=lambda f: npy(f, GREY().astype(np.float64)),
        pixels=grey_pixels,
        said=("floats in 0 … 255",),
    ),
    Case(
        name="16-bit array",
        shape="whole numbers of 12, 14 or 16 bits",
        outcome="their highest eight bits, and said",
        make=lambda f: npy(f, GREY().astype(np.uint16) * 16),
        pixels=grey_pixels,
        said=("had 12 bits",),
    ),
    Case(
        name="hdf5",
        shape="HDF5 with one data set of images (3dshapes), or `train/images`, `test/images` …",
        outcome="that, or its own parts; several that may be meant: `data.array: NAME`",
        make=lambda f: hdf5(f, images=COLOUR(), labels=np.zeros((200, 6))),
        shape_of=(32, 32, 3),
        pixels=COLOUR,
        said=("Read from the array images.",),
    ),
    Case(
        name="hdf5 with parts",
        shape="",
        make=lambda f: hdf5(f, train__images=GREY(), test__images=drawings(60), train__labels=np.ones(200)),
        parts=(200, None, 60),
        pixels=grey_pixels,
    ),
    Case(
        name="hdf5 with several",
        shape="",
        make=lambda f: hdf5(f, x_left=GREY(), x_right=GREY()),
        refused="data.array: x_left",
    ),
    Case(
        name="svhn",
        shape="`.mat` of every version: SVHN (counted last), a folder of `train_32x32.mat` and `test_32x32.mat`",
        outcome="read; the folder's parts are its own",
        make=lambda f: matlab(f, X=np.moveaxis(COLOUR(), 0, -1), y=np.ones((200, 1), np.uint8)),
        shape_of=(32, 32, 3),
        pixels=COLOUR,
    ),
    Case(
        name="svhn in a folder",
        shape="",
        make=svhn_folder,
        parts=(200, None, 60),
        shape_of=(32, 32, 3),
        pixels=lambda: drawings(260, 32, 32, 3)[:200],
    ),
    Case(
        name="matlab 7.3",
        shape="",
        make=lambda f: matlab_73(f, X=np.moveaxis(COLOUR(), 0, -1), y=np.ones((200, 1))),
        shape_of=(32, 32, 3),
        pixels=COLOUR,
    ),
    Case(
        name="omniglot",
        shape="`.mat` of Omniglot: flat images in columns, column by column",
        outcome="set upright; `testdata` is the test part",
        make=omniglot,
        parts=(200, None, 60),
        pixels=lambda: (grey_pixels() > 90).astype(np.uint8),
        said=("as MATLAB keeps it",),
    ),
    Case(
        name="kaggle",
        shape="CSV with a column for each pixel (Kaggle), with a label or without, with a header or without, `.gz` too",
        outcome="square images; the label is no pixel",
        make=csv,
        pixels=grey_pixels,
        said=("one column for each pixel",),
    ),
    Case(
        name="kaggle, packed, no label",
        shape="",
        make=partial(csv, label=False, name="test.csv.gz"),
        pixels=grey_pixels,
    ),
    Case(
        name="csv without a header, labels last",
        shape="",
        make=labels_last,
        pixels=grey_pixels,
        said=("Its last column was read as labels.",),
    ),
    Case(name="csv without a header", shape="", make=partial(csv, header=False), pixels=grey_pixels),
    Case(
        name="npy folder",
        shape="a folder of `.npy` files: an image each, a class each (QuickDraw), or a part each (`x_train.npy` …)",
        outcome="put together",
        make=npy_each,
        pixels=grey_pixels,
        said=("Each of 200 .npy files",),
    ),
    Case(
        name="npy, a class each", shape="", make=npy_class_each, pixels=grey_pixels, said=("as a class each: cat, dog",)
    ),
    Case(name="npy, a part each", shape="", make=npy_parts, parts=(200, None, 60), pixels=grey_pixels),
    Case(name="kmnist", shape="", make=kmnist, parts=(200, None, 60), pixels=grey_pixels),
]
