"""Where images come from: a name, a file or a folder. Read whole, decoded, not yet split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_search.data import downloads, idx
from vae_search.data.checks import Images, check_images
from vae_search.data.image_files import read_folder, read_parquet
from vae_search.data.numpy_files import read_npy, read_npz
from vae_search.errors import BadData

MNIST_VALIDATION = 10_000
MNIST_TRAIN = 60_000
DIGITS_SCALE = 16
FEWEST_TEST_IMAGES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Checked images before they are split.

    Args:
        name: as messages call it.
        test: the source's own test split; None if it has none.
        validation, test_count: how many images its published protocol sets aside; None without one.
        in_order: the protocol takes the last images for validation instead of a permutation's.
    """

    name: str
    train: Images
    test: Images | None = None
    validation: int | None = None
    test_count: int | None = None
    in_order: bool = False


def read_source(source: str, *, cache: Path) -> Source:
    """Read the images of `data.source`.

    Args:
        source: `digits`, `mnist`, `fashion_mnist`, or the path of a folder or file.
        cache: where downloads are kept.

    Raises:
        BadData: Naming the place, what must hold, what was found and what to do.
    """
    if source in NAMED:
        return NAMED[source](cache)
    path = Path(source)
    try:
        return _read_path(path)
    except PermissionError as error:
        raise BadData(f"{path}: cannot be read: {error.strerror}. Give this user the right to.") from error


def _read_path(path: Path) -> Source:
    if path.is_dir():
        return _idx(path) if idx.find(path, "train") else _checked(str(path), *read_folder(path))
    if not path.exists():
        raise BadData(f"data.source: there is no file or folder {path}. Give one that exists, or {', '.join(NAMED)}.")
    if path.suffix not in READERS:
        raise BadData(
            f"{path}: must be a folder or end in {', '.join(READERS)}, but ends in {path.suffix or 'nothing'}."
        )
    return _checked(str(path), *READERS[path.suffix](path))


def _npy(path: Path) -> tuple[np.ndarray, None]:
    return read_npy(path), None


def _parquet(path: Path) -> tuple[np.ndarray, None]:
    return read_parquet(path), None


READERS: dict[str, Callable[[Path], tuple[np.ndarray, np.ndarray | None]]] = {
    ".npz": read_npz,
    ".npy": _npy,
    ".parquet": _parquet,
}


def _checked(name: str, train: np.ndarray, test: np.ndarray | None) -> Source:
    train_images = check_images(train, where=name if test is None else f"{name} (train)")
    if test is None:
        return Source(name=name, train=train_images)
    test_images = check_images(test, where=f"{name} (test)", fewest=FEWEST_TEST_IMAGES)
    if train_images.pixels.shape[1:] != test_images.pixels.shape[1:]:
        raise BadData(
            f"{name}: train and test images must have one shape, but have {train_images.pixels.shape[1:]} and "
            f"{test_images.pixels.shape[1:]}."
        )
    if train_images.scale != test_images.scale:
        raise BadData(
            f"{name}: train and test pixels must have one range, but look like 0..{train_images.scale:g} and "
            f"0..{test_images.scale:g}. Save both in the same way."
        )
    return Source(name=name, train=train_images, test=test_images)


def _idx(folder: Path) -> Source:
    train, test = idx.find(folder, "train"), idx.find(folder, "t10k")
    if train is None or test is None:
        raise BadData(f"{folder}: must hold train-images-idx3-ubyte and t10k-images-idx3-ubyte (or .gz) both.")
    return _mnist_family(_checked(str(folder), idx.read(train), idx.read(test)))


def _mnist_family(source: Source) -> Source:
    """With the family's protocol (last 10,000 of 60,000 for validation) if it has the family's size."""
    if len(source.train.pixels) != MNIST_TRAIN:
        return source
    return Source(name=source.name, train=source.train, test=source.test, validation=MNIST_VALIDATION, in_order=True)


def _digits(cache: Path) -> Source:
    from sklearn.datasets import load_digits  # takes a second, and only this source needs it

    images = load_digits().images.astype(np.uint8)
    checked = check_images(images, where="digits", whole_scale=DIGITS_SCALE)
    return Source(name="digits", train=checked, validation=300, test_count=297)


def _mnist(cache: Path) -> Source:
    return _mnist_family(_checked("mnist", *read_npz(downloads.mnist_file(cache))))


def _fashion_mnist(cache: Path) -> Source:
    return _idx(downloads.fashion_mnist_folder(cache))


NAMED: dict[str, Callable[[Path], Source]] = {
    "digits": _digits,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
}
