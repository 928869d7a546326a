"""What all tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FASHION_FILES = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")


@pytest.fixture(scope="session")
def fashion_mnist_path() -> Path:
    """The folder of the full Fashion-MNIST."""
    folder = Path(os.environ.get("VAE_SEARCH_FASHION_MNIST") or ROOT.parent / "shared" / "data" / "fashion-mnist")
    if not all((folder / name).is_file() for name in FASHION_FILES):
        pytest.skip(f"needs Fashion-MNIST in {folder}; set VAE_SEARCH_FASHION_MNIST to the folder that has it")
    return folder
