"""Data sources: a data set by name, a file, or a folder."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_search.core.text import did_you_mean, printable
from vae_search.data.builtin import read_cifar10, read_digits, read_fashion_mnist, read_mnist
from vae_search.data.formats.published.cifar10 import Cifar10, is_cifar10_folder, read_cifar10_archive, read_cifar10_folder
from vae_search.data.formats.pictures.encoded_images import turned_note
from vae_search.data.formats.published.idx import TEST, TRAIN, idx_advice, idx_file, read_idx_folder
from vae_search.data.formats.pictures.image_folder import read_image_folder
from vae_search.data.formats.arrays.numpy_files import read_npy, read_npz, unread_note
from vae_search.data.formats.tables.parquet import read_parquet
from vae_search.data.formats.published.photo_patches import VALIDATION_COUNT, read_photo_patches
from vae_search.data.formats.safe_reading import place, reading, refuse_irregular
from vae_search.data.image_checks import Images, check_images, check_pair
from vae_search.data.random_access.image_reader import ImageReader, read_all
from vae_search.data.splits import Protocol
from vae_search.errors import BadData
from vae_search.spec.fields import NAMES

# How many of the training images a family of data sets is usually validated on, the last ones, by the shapes of its
# training and test images: MNIST and the sets made in its image, CIFAR-10 (He et al. 2016, 4.2: 45,000 / 5,000) and
# CIFAR-100. All are published in random order.
USUAL_VALIDATION = {
    ((60_000, 28, 28), (10_000, 28, 28)): 10_000,
    ((50_000, 32, 32, 3), (10_000, 32, 32, 3)): 5_000,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """Checked images, before they are split.

    Args:
        name: as the spec gives it.
        train: the training images, or all images if there are no test images of their own.
        test: the source's own test images.
        protocol: how the data set is usually split, if there is a usual way.
        train_labels: (count,) of the training images, if they came in the same file.
        notes: sentences on what was left out, and what was changed before it was read.
    """

    name: str
    train: Images
    test: Images | None
    protocol: Protocol | None = None
    train_labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def read_source(source: str, *, cache: Path) -> Source:
    """Read the images of a data set.

    Args:
        source: one of NAMES, or the path of a .npz, .npy or .parquet file, of CIFAR-10's .tar.gz, or of a folder with
            IDX files, with CIFAR-10's files or of pictures.
        cache: the folder for downloads.

    Raises:
        BadData: There is nothing of that kind, it is damaged, it cannot be downloaded, or nobody can train on it.
    """
    keras = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"
    match source:
        case "digits":  # 1,200 / 300 / 297
            return _checked(source, read_digits(), None, protocol=Protocol(validation=300, test=297))
        case "photo_patches":
            protocol = Protocol(validation=VALIDATION_COUNT, is_fixed=True)
            return _checked(source, *read_photo_patches(), protocol=protocol)
        case "mnist":
            return _with_protocol(source, *read_mnist(cache=cache, keras=keras))
        case "fashion_mnist":
            return _with_protocol(source, *read_fashion_mnist(cache=cache, keras=keras))
        case "cifar10":
            return _labelled(source, read_cifar10(cache=cache))
        case _:
            return _read_path(Path(source))


def _checked(
    name: str,
    train: np.ndarray | ImageReader,
    test: np.ndarray | ImageReader | None,
    *,
    protocol: Protocol | None = None,
    train_labels: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> Source:
    where = printable(name, 400)
    if test is None:
        images, own_test = check_images(read_all(train), where=where), None
    else:
        images, own_test = check_pair(read_all(train), read_all(test), where=where)
    return Source(name=name, train=images, test=own_test, protocol=protocol, train_labels=train_labels, notes=notes)


def _with_protocol(
    name: str,
    train: np.ndarray | ImageReader,
    test: np.ndarray | ImageReader | None,
    train_labels: np.ndarray | None = None,
    *,
    notes: tuple[str, ...] = (),
) -> Source:
    validation = None if test is None else USUAL_VALIDATION.get((train.shape, test.shape))
    protocol = None if validation is None else Protocol(validation=validation)
    return _checked(name, train, test, protocol=protocol, train_labels=train_labels, notes=notes)


def _labelled(name: str, found: Cifar10) -> Source:
    return _with_protocol(name, found.train, found.test, found.train_labels)


def _missing(path: Path) -> str:
    hint = did_you_mean(path.name.replace("-", "_"), NAMES)
    return (
        f"{place(path)}: must be readable, but: No such file or directory."
        + (f" {hint}" if "Did" in hint else "")
        + f"\nGive a path from the spec's folder, or one of what is built in: {', '.join(NAMES)}."
    )


def _read_path(path: Path) -> Source:
    where, name = place(path), str(path)
    try:
        with reading(where):
            try:
                is_folder = stat.S_ISDIR(path.stat().st_mode)
            except FileNotFoundError:
                raise BadData(_missing(path)) from None
    except ValueError as error:  # a null character
        raise BadData(f"{where}: must be a path, but no path holds a null character.") from error
    if is_folder:
        if idx_file(path, TRAIN) or idx_file(path, TEST):
            return _with_protocol(name, *read_idx_folder(path))
        if is_cifar10_folder(path):
            return _labelled(name, read_cifar10_folder(path))
        pictures = read_image_folder(path)
        return _checked(name, pictures.train, pictures.test, notes=pictures.notes)
    refuse_irregular(path)
    if path.name.lower().endswith(".tar.gz"):
        with reading(where), path.open("rb") as archive:
            return _labelled(name, read_cifar10_archive(archive, where=where))
    match path.suffix.lower():
        case ".npz":
            train, test = read_npz(path, where=where)
            return _with_protocol(name, train, test, notes=unread_note(path))
        case ".npy":
            return _checked(name, read_npy(path), None)
        case ".parquet":
            decoded = read_parquet(path)
            return _checked(name, decoded.images, None, notes=(turned_note(decoded.turned),) if decoded.turned else ())
        case _:
            # A folder of MNIST's own names is read whole; other names must be given to it first.
            known = [file for part in (TRAIN, TEST) if (file := idx_file(path.parent, part)) is not None]
            advice = " Give the folder that it is in." if path in known else idx_advice(path)
            raise BadData(
                f"{where}: must be a .npz, .npy or .parquet file, a folder of IDX files or of pictures, CIFAR-10's\n"
                f".tar.gz or folder, or one of {', '.join(NAMES)}, but it is another file.{advice}"
            )
