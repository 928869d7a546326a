"""Labels of images: what conditional models see, and what the feature space of sample quality learns to predict."""

import gzip
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from vae_search.data.formats.published.idx import LABELS, TEST, TRAIN, idx_file, idx_set_of, labels_file
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import DAMAGED

MOST_CLASSES = 1000


def source_labels(source: str, count: int, role: Literal["train", "test"] = "train") -> np.ndarray | None:
    """The labels of a source's images of a role, in their order: (count,) int64 from 0 on.

    Of `digits`, of an IDX folder with `train-labels-idx1-ubyte[.gz]`, and of an .npz file with `y_train`. Everything
    else has none, and labels that are damaged or no class numbers are as good as none: most searches do not need them,
    and what samples were compared in is part of that metric's name.

    Args:
        source: as a spec gives it; its images have been read.
        count: of its images of that role.
    """
    try:
        found = _digits() if source == "digits" else _beside(Path(source), count, role)
    except (*DAMAGED, OSError, ValueError, RuntimeError):
        return None
    return None if found is None or found.dtype.kind == "f" else class_numbers(found, count)


def class_numbers(found: np.ndarray | None, count: int, *, may_be_one: bool = False) -> np.ndarray | None:
    """Labels as (count,) int64 from 0 on; None if they are no class numbers of so many images.

    Args:
        may_be_one: all may be of one class, as those of new images may.
    """
    if found is None or found.dtype.kind not in "iuf" or found.shape != (count,):
        return None
    if found.dtype.kind == "f" and not (found == np.rint(found)).all():  # MATLAB keeps whole numbers as floats
        return None
    labels = found.astype(np.int64)
    low, high = labels.min(initial=MOST_CLASSES), labels.max(initial=-1)
    return labels if 0 <= low <= high < MOST_CLASSES and (may_be_one or low < high) else None


def in_words(labels: np.ndarray) -> np.ndarray:
    """Labels that a table or file holds as text, as an array of text; others as they are."""
    try:
        if labels.dtype.kind == "S":
            return np.char.decode(labels, "utf-8")
        if labels.dtype.kind == "O" and len(labels) and all(isinstance(label, str | bytes) for label in labels):
            return np.array([label.decode() if isinstance(label, bytes) else label for label in labels], np.str_)
    except UnicodeDecodeError:
        pass
    return labels


def names_of_classes(labels: Mapping[Role, np.ndarray]) -> tuple[str, ...]:
    """Names of the classes of labels that are names, in their order over all parts; nothing for labels that are
    numbers, and for more names than there can be classes.
    """
    if not labels or any(given.dtype.kind != "U" for given in labels.values()):
        return ()
    names = np.unique(np.concatenate([*labels.values()]))
    return tuple(map(str, names)) if len(names) <= MOST_CLASSES else ()


def class_numbers_of_names(labels: Mapping[Role, np.ndarray]) -> dict[Role, np.ndarray | None]:
    """Numbers of classes that are named, by `names_of_classes`; nothing for labels that are numbers."""
    names = names_of_classes(labels)
    return {role: np.searchsorted(names, given).astype(np.int64) for role, given in labels.items()} if names else {}


def idx_set_labels(path: Path, counts: Mapping[Role, int]) -> dict[Role, np.ndarray]:
    """Labels beside IDX images of other names than MNIST's, as EMNIST's are, by part; those that fit.

    Args:
        path: of one of the files, or of their folder.
        counts: of images, by part.
    """
    found: dict[Role, np.ndarray] = {}
    for role, images in idx_set_of(path).items():
        count = counts.get(role, 0)
        try:
            labels = class_numbers(_read_idx(labels_file(images), count), count)
        except (*DAMAGED, OSError, ValueError):
            continue
        if labels is not None:
            found[role] = labels
    return found


def _digits() -> np.ndarray:
    # Importing scikit-learn takes a second, and no other data set needs it.
    from sklearn.datasets import load_digits

    from vae_search.data.builtin import digits_order

    target: np.ndarray = load_digits().target
    labels: np.ndarray = target[digits_order(len(target))]
    return labels


def _beside(path: Path, count: int, role: Literal["train", "test"]) -> np.ndarray | None:
    images = idx_file(path, TRAIN if role == "train" else TEST)
    if images is not None:
        return _read_idx(labels_file(images), count)
    if path.suffix.lower() != ".npz":
        return None
    with zipfile.ZipFile(path) as archive:
        key = f"y_{role}.npy"
        if key not in archive.namelist() or archive.getinfo(key).file_size > 16 * count + 2**12:
            return None  # no labels, or far more than one number per image
        with archive.open(key) as member:
            labels: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
            return labels


def _read_idx(path: Path, count: int) -> np.ndarray:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(8 + count + 1)
    if content[:8] != LABELS + struct.pack(">I", count):
        raise ValueError(f"{path}: is no IDX file of {count} labels")
    return np.frombuffer(content, np.uint8, offset=8)
