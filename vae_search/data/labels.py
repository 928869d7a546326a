"""Labels of training images; only the feature space of sample quality is trained to predict them."""

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np

from vae_search.data.formats.published.idx import LABELS, TRAIN, idx_file
from vae_search.data.formats.safe_reading import DAMAGED

NPZ_KEY = "y_train.npy"
MOST_CLASSES = 1000


def train_labels(source: str, count: int) -> np.ndarray | None:
    """The labels of a source's training images, in their order: (count,) int64 from 0 on.

    Of `digits`, of an IDX folder with `train-labels-idx1-ubyte[.gz]`, and of an .npz file with `y_train`. Everything
    else has none, and labels that are damaged or no class numbers are as good as none: a search does not need them,
    and what samples were compared in is part of that metric's name.

    Args:
        source: as a spec gives it; its images have been read.
        count: of its training images.
    """
    try:
        found = _digits() if source == "digits" else _beside(Path(source), count)
    except (*DAMAGED, OSError, ValueError, RuntimeError):
        return None
    return None if found is None or found.dtype.kind == "f" else class_numbers(found, count)


def class_numbers(found: np.ndarray | None, count: int) -> np.ndarray | None:
    """Labels as (count,) int64 from 0 on; None if they are no class numbers of so many images."""
    if found is None or found.dtype.kind not in "iuf" or found.shape != (count,):
        return None
    if found.dtype.kind == "f" and not (found == np.rint(found)).all():  # MATLAB keeps whole numbers as floats
        return None
    labels = found.astype(np.int64)
    return labels if 0 <= labels.min() < labels.max() < MOST_CLASSES else None


def _digits() -> np.ndarray:
    # Importing scikit-learn takes a second, and no other data set needs it.
    from sklearn.datasets import load_digits

    from vae_search.data.builtin import digits_order

    target: np.ndarray = load_digits().target
    labels: np.ndarray = target[digits_order(len(target))]
    return labels


def _beside(path: Path, count: int) -> np.ndarray | None:
    images = idx_file(path, TRAIN)
    if images is not None:
        name = images.name.replace("train-images", "train-labels").replace("idx3", "idx1")
        return _read_idx(images.with_name(name), count)
    if path.suffix.lower() != ".npz":
        return None
    with zipfile.ZipFile(path) as archive:
        if NPZ_KEY not in archive.namelist() or archive.getinfo(NPZ_KEY).file_size > 16 * count + 2**12:
            return None  # no labels, or far more than one number per image
        with archive.open(NPZ_KEY) as member:
            labels: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
            return labels


def _read_idx(path: Path, count: int) -> np.ndarray:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(8 + count + 1)
    if content[:8] != LABELS + struct.pack(">I", count):
        raise ValueError(f"{path}: is no IDX file of {count} labels")
    return np.frombuffer(content, np.uint8, offset=8)
