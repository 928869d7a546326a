"""What is not read: each is told the line that makes something of it that is."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np

from tests.support.people_files.case import Case
from tests.support.people_files.drawings import drawings, save


def zarr(folder: Path) -> Path:
    array = folder / "images.zarr" / "images"
    array.mkdir(parents=True)
    header = {"shape": [200, 28, 28], "chunks": [200, 28, 28], "dtype": "|u1", "order": "C", "zarr_format": 2}
    (array / ".zarray").write_text(json.dumps(header | {"compressor": None, "fill_value": 0, "filters": None}))
    (array / "0.0.0").write_bytes(drawings().tobytes())
    return folder / "images.zarr"


def pickled(folder: Path) -> Path:
    part = (drawings().reshape(200, -1) / 255, [0] * 200)
    with gzip.open(folder / "mnist.pkl.gz", "wb") as file:
        pickle.dump((part, part, part), file)
    return folder / "mnist.pkl.gz"


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def one_picture(folder: Path) -> Path:
    save(folder / "a.png", drawings()[0])
    return folder / "a.png"


CASES = [
    Case(
        name="pt",
        shape="`.pt`, pickles, zarr, Arrow files, NIfTI, DICOM, HEIC, SVG, films, CIFAR-100, files of several pages, "
        "other archives",
        outcome="refused with the line that converts them: their readers run code, or need more than is installed",
        make=lambda f: written(f / "frames.pt", b"PK\3\4"),
        refused="torch.load('frames.pt', weights_only=True)",
    ),
    Case(name="zarr", shape="", make=zarr, refused="zarr.open('images.zarr', mode='r')['images'][:]"),
    Case(name="pickle", shape="", make=pickled, refused="pickle.load(gzip.open('mnist.pkl.gz')"),
    Case(name="film", shape="", make=lambda f: written(f / "a.mp4", b"x"), refused="ffmpeg -i 'a.mp4' frames/%06d.png"),
    Case(
        name="one picture",
        shape="one picture",
        outcome="refused: give the folder that it is in",
        make=one_picture,
        refused="give the folder that it is in",
    ),
    Case(
        name="another file",
        shape="anything else",
        outcome="refused with what is read",
        make=lambda f: written(f / "a.xyz", b"hello"),
        refused="it is another file",
    ),
    Case(
        name="80 images",
        shape="80 to 191 images",
        outcome="parts that fit: 32 to choose models by, 16 to test with, or a sixth each if that is more",
        make=lambda f: _npy(f, drawings(80)),
        parts=(80, None, None),
        pixels=lambda: drawings(80)[..., None],
    ),
]


def _npy(folder: Path, images: np.ndarray) -> Path:
    np.save(folder / "a.npy", images)
    return folder / "a.npy"
