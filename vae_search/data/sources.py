"""Where images come from: a data set by name, a file, or a folder."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_search.data.checks import Images, check_images, check_pair
from vae_search.data.files import place, reading, refuse_irregular
from vae_search.data.idx import TEST, TRAIN, idx_file, read_idx_folder
from vae_search.data.image_folder import read_image_folder
from vae_search.data.named import read_digits, read_fashion_mnist, read_mnist
from vae_search.data.numpy_files import read_npy, read_npz
from vae_search.data.parquet_file import read_parquet
from vae_search.errors import BadData
from vae_search.problems import printable
from vae_search.spec_fields import NAMES

MNIST_TRAIN, MNIST_TEST = (60_000, 28, 28), (10_000, 28, 28)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Checked images, before they are split.

    Args:
        name: as the spec gives it.
        train: the training images, or all images if there are no test images of their own.
        test: the source's own test images.
        validation: how many images the source's protocol validates on; its images are then taken in their order,
            training first, validation next, and test last. None: there is no protocol.
        test_count: how many of `train` the protocol tests on, if there is one and `test` is None.
    """

    name: str
    train: Images
    test: Images | None
    validation: int | None = None
    test_count: int | None = None


def read_source(source: str, *, cache: Path) -> Source:
    """Read the images of a data set.

    Args:
        source: `digits`, `mnist`, `fashion_mnist`, or the path of a .npz, .npy or .parquet file, of a folder with IDX
            files, or of a folder of pictures.
        cache: the folder for downloads.

    Raises:
        BadData: There is nothing of that kind, it is damaged, it cannot be downloaded, or nobody can train on it.
    """
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
    match source:
        case "digits":  # 1,200 / 300 / 297
            return _checked(source, read_digits(), None, validation=300, test_count=297)
        case "mnist":
            return _with_protocol(source, *read_mnist(cache=cache, keras=keras))
        case "fashion_mnist":
            return _with_protocol(source, *read_fashion_mnist(cache=cache, keras=keras))
        case _:
            return _read_path(Path(source))


def _checked(
    name: str,
    train: np.ndarray,
    test: np.ndarray | None,
    *,
    validation: int | None = None,
    test_count: int | None = None,
) -> Source:
    where = printable(name, 400)
    if test is None:
        images, own_test = check_images(train, where=where), None
    else:
        images, own_test = check_pair(train, test, where=where)
    return Source(name=name, train=images, test=own_test, validation=validation, test_count=test_count)


def _with_protocol(name: str, train: np.ndarray, test: np.ndarray | None) -> Source:
    """MNIST and the sets made in its image are published in random order, and validated on the last 10,000."""
    is_family = train.shape == MNIST_TRAIN and test is not None and test.shape == MNIST_TEST
    return _checked(name, train, test, validation=10_000 if is_family else None)


def _read_path(path: Path) -> Source:
    where, name = place(path), str(path)
    try:
        with reading(where):
            is_folder = stat.S_ISDIR(path.stat().st_mode)
    except ValueError as error:  # a null character
        raise BadData(f"{where}: must be a path, but no path holds a null character.") from error
    if is_folder:
        if idx_file(path, TRAIN) or idx_file(path, TEST):
            return _with_protocol(name, *read_idx_folder(path))
        return _checked(name, *read_image_folder(path))
    refuse_irregular(path)
    match path.suffix.lower():
        case ".npz":
            return _with_protocol(name, *read_npz(path, where=where))
        case ".npy":
            return _checked(name, read_npy(path), None)
        case ".parquet":
            return _checked(name, read_parquet(path), None)
        case _:
            advice = " Give the folder that it is in." if "idx" in path.name else ""
            raise BadData(
                f"{where}: must be a .npz, .npy or .parquet file, a folder of IDX files or of pictures,\n"
                f"or one of {', '.join(NAMES)}, but it is another file.{advice}"
            )
