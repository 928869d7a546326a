"""The data sets that need no path: digits from scikit-learn, and published ones, which are downloaded once."""

from io import BytesIO
from pathlib import Path

import numpy as np

from vae_search.data.download import DownloadFailed, PublishedFile, published
from vae_search.data.formats.arrays.numpy_files import read_npz
from vae_search.data.formats.published.cifar10 import Cifar10, read_cifar10_archive
from vae_search.data.formats.published.idx import read_idx
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import place
from vae_search.data.random_access.image_reader import read_all
from vae_search.errors import BadData

PUBLISHED_AT = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
MNIST = PublishedFile(
    url=f"{PUBLISHED_AT}mnist.npz",
    sha256="731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",  # as Keras pins it
)
FASHION_TRAIN = PublishedFile(
    url=f"{PUBLISHED_AT}train-images-idx3-ubyte.gz",
    sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    unpacked=True,
)
FASHION_TEST = PublishedFile(
    url=f"{PUBLISHED_AT}t10k-images-idx3-ubyte.gz",
    sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    unpacked=True,
)
FASHION_TRAIN_LABELS = PublishedFile(
    url=f"{PUBLISHED_AT}train-labels-idx1-ubyte.gz",
    sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    unpacked=True,
)
FASHION_TEST_LABELS = PublishedFile(
    url=f"{PUBLISHED_AT}t10k-labels-idx1-ubyte.gz",
    sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    unpacked=True,
)
IDX_HEADER_BYTES = 8  # of labels
FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
CIFAR10 = PublishedFile(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    # As TensorFlow Datasets pins it (url_checksums/cifar10.txt); the page gives an MD5 only.
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
DIGITS_SEED = 1797  # of the order of the digits; any constant would do
DIGITS_WHITE = 16


def read_digits() -> np.ndarray:
    """scikit-learn's 1,797 handwritten digits in a fixed random order: (1797, 8, 8) float64 in [0, 1]."""
    # Importing scikit-learn takes a second, and no other data set needs it.
    from sklearn.datasets import load_digits

    grey: np.ndarray = load_digits().images
    shuffled: np.ndarray = grey[digits_order(len(grey))]
    return shuffled / DIGITS_WHITE


def digits_order(count: int) -> np.ndarray:
    """The fixed order that the digits, and their labels, are brought into."""
    return np.random.default_rng(DIGITS_SEED).permutation(count)


def read_mnist(*, cache: Path, keras: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """MNIST: (60000, 28, 28) and (10000, 28, 28) uint8.

    Args:
        cache: our folder for downloads.
        keras: the folder `datasets` of Keras, which is looked into first and never written to.

    Raises:
        BadData: It is in neither and cannot be downloaded.
    """
    content = _fetched("mnist", MNIST, cache=cache, elsewhere=keras)
    found = read_npz(BytesIO(content), where="mnist")
    return read_all(found.train), None if found.test is None else read_all(found.test)


def read_mnist_labels(*, cache: Path, keras: Path) -> dict[Role, np.ndarray]:
    """MNIST's labels, (60000,) and (10000,) uint8; from the file that `read_mnist` reads.

    Raises:
        BadData: It is gone.
    """
    with np.load(BytesIO(_fetched("mnist", MNIST, cache=cache, elsewhere=keras)), allow_pickle=False) as arrays:
        return {"train": arrays["y_train"], "test": arrays["y_test"]}


def read_fashion_labels(*, cache: Path, keras: Path) -> dict[Role, np.ndarray]:
    """Fashion-MNIST's labels, (60000,) and (10000,) uint8; from files of their own, in the folders of the images.

    Raises:
        BadData: They are in neither folder and cannot be downloaded.
    """
    folders = {"cache": cache / "fashion-mnist", "elsewhere": keras / "fashion-mnist"}
    train, test = (
        np.frombuffer(_fetched("fashion_mnist", file, **folders), np.uint8, offset=IDX_HEADER_BYTES)
        for file in (FASHION_TRAIN_LABELS, FASHION_TEST_LABELS)
    )
    return {"train": train, "test": test}


def read_fashion_mnist(*, cache: Path, keras: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST (Xiao et al. 2017): (60000, 28, 28) and (10000, 28, 28) uint8.

    Args:
        cache: our folder for downloads.
        keras: the folder `datasets` of Keras, which is looked into first and never written to.

    Raises:
        BadData: It is in neither and cannot be downloaded.
    """
    train, test = (
        read_idx(BytesIO(content), where=f"fashion_mnist: {file.name}")
        for file in (FASHION_TRAIN, FASHION_TEST)
        for content in [
            _fetched("fashion_mnist", file, cache=cache / "fashion-mnist", elsewhere=keras / "fashion-mnist")
        ]
    )
    return train, test


def read_cifar10(*, cache: Path) -> Cifar10:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 images of (32, 32, 3).

    Keras keeps it as pickles only, so its folder is of no use here.

    Args:
        cache: our folder for downloads.

    Raises:
        BadData: It is not there and cannot be downloaded.
    """
    content = _fetched("cifar10", CIFAR10, cache=cache)
    return read_cifar10_archive(BytesIO(content), where="cifar10")


def _fetched(name: str, file: PublishedFile, *, cache: Path, elsewhere: Path | None = None) -> bytes:
    try:
        return published(file, cache=cache, elsewhere=[] if elsewhere is None else [elsewhere])
    except DownloadFailed as error:
        folders = place(cache) if elsewhere is None else f"{place(cache)} (or {place(elsewhere)})"
        raise BadData(
            f"{name}: {file.name} must be downloaded once, but {file.url} cannot be had: {error}.\n"
            f"Put the published file into {folders} by hand,\n"
            "or set data.source to the path of a folder or file that holds the images."
        ) from error
