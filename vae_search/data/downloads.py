"""The MNIST family by name: found in Keras's cache, in ours, or fetched once."""

import contextlib
import gzip
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from filelock import FileLock

from vae_search.errors import BadData

TIMEOUT_S = 20.0

FASHION_BASE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# Of the unpacked content: the same images are around in differently compressed files.
FASHION_SHA256 = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
}
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


def fashion_mnist_folder(cache: Path) -> Path:
    """A folder with Fashion-MNIST's two image files.

    Raises:
        BadData: They are nowhere to be had.
    """
    ours = cache / "fashion-mnist"
    for folder in (_keras_cache() / "fashion-mnist", ours):
        if all((folder / name).is_file() for name in FASHION_SHA256):
            return folder
    for name, digest in FASHION_SHA256.items():
        _fetch("fashion_mnist", FASHION_BASE + name, ours / name, sha256=digest)
    return ours


def mnist_file(cache: Path) -> Path:
    """The file mnist.npz.

    Raises:
        BadData: It is nowhere to be had.
    """
    ours = cache / "mnist.npz"
    for path in (_keras_cache() / "mnist.npz", ours):
        if path.is_file():
            return path
    _fetch("mnist", MNIST_URL, ours, sha256=None)
    return ours


def _keras_cache() -> Path:
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def _fetch(name: str, url: str, target: Path, *, sha256: str | None) -> None:
    """Download into the cache; the file appears whole or not at all, and one process at a time fetches it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.is_file():
            return
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - constant https addresses
                content = answer.read()
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise BadData(
                f"{name}: cannot be downloaded: {getattr(error, 'reason', error)}.\n"
                f"Put {target.name} into {target.parent} by hand (from {url}),\n"
                "or set data.source to a folder or file that holds the images."
            ) from error
        if sha256 is not None and _unpacked_sha256(content) != sha256:
            raise BadData(f"{url}: is not the file that was expected; it was not kept. Try again later.")
        _place(content, target)


def _unpacked_sha256(content: bytes) -> str | None:
    """The hash of what a gzip file holds; None if it is none."""
    try:
        return hashlib.sha256(gzip.decompress(content)).hexdigest()
    except (OSError, EOFError, zlib.error):
        return None


def _place(content: bytes, target: Path) -> None:
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(partial).replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            Path(partial).unlink()
        raise
