"""What all tests share."""

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.s3_server import BUCKET, s3_server

S3_SECRET = "neverToBeSeenAnywhere/0123456789abcdef"  # noqa: S105 - opens nothing; tests look for it in all output
FASHION_FILES = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")


def pytest_collection_finish() -> None:
    """One core for TensorFlow, set before any test makes it run: its number of threads cannot change afterwards."""
    if "tensorflow" in sys.modules:  # imported by a collected test; the others shall not wait for it
        from vae_search.vae.training.device import limit_threads

        limit_threads(1)


@pytest.fixture(scope="session")
def fashion_mnist_path() -> Path:
    """The folder of the full Fashion-MNIST."""
    folder = Path(os.environ.get("VAE_SEARCH_FASHION_MNIST") or ROOT.parent / "shared" / "data" / "fashion-mnist")
    if not all((folder / name).is_file() for name in FASHION_FILES):
        pytest.skip(f"needs Fashion-MNIST in {folder}; set VAE_SEARCH_FASHION_MNIST to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def cifar10_path() -> Path:
    """The full CIFAR-10: the folder of its binary version, or the archive."""
    place = os.environ.get("VAE_SEARCH_CIFAR10")
    if not place:
        pytest.skip("needs CIFAR-10; set VAE_SEARCH_CIFAR10 to cifar-10-binary.tar.gz or to the folder from it")
    return Path(place)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3 of this test run."""
    pytest.importorskip("moto")
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3_location(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh place on it, for this process and its children."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3_SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"
