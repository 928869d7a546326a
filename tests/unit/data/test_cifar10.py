"""CIFAR-10 in its binary version, in a folder, in its archive and by name."""

import gzip
import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import (
    CIFAR10_FILES,
    cifar10_archive,
    cifar10_batches,
    cifar10_bytes,
    cifar10_contents,
    tar_gz,
)
from tests.support.web_server import serving
from vae_search.data import builtin
from vae_search.data.dataset import load_dataset
from vae_search.data.download import PublishedFile
from vae_search.data.sources import Source, read_source
from vae_search.data.splits import Protocol
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec

TRAIN_FILES = CIFAR10_FILES[:5]


def write_cifar10(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(folder: Path, content: bytes) -> Path:
    path = folder / "cifar-10-binary.tar.gz"
    path.write_bytes(content)
    return path


def assert_holds_the_batches(source: Source) -> None:
    batches = cifar10_batches()
    np.testing.assert_array_equal(source.train.pixels, np.concatenate([batches[name][0] for name in TRAIN_FILES]))
    np.testing.assert_array_equal(source.labels["train"], np.concatenate([batches[name][1] for name in TRAIN_FILES]))
    np.testing.assert_array_equal(source.test.pixels, batches["test_batch.bin"][0])


def test_a_folder_is_read_as_it_was_written(tmp_path):
    source = read_source(str(write_cifar10(tmp_path, cifar10_contents())), cache=tmp_path)

    assert_holds_the_batches(source)


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin/", "./cifar-10-batches-bin/", ""])
def test_an_archive_is_read_wherever_its_files_lie_and_whatever_their_order(tmp_path, folder):
    contents = dict(reversed(cifar10_contents().items()))
    path = write_archive(tmp_path, tar_gz({f"{folder}{name}": content for name, content in contents.items()}))

    assert_holds_the_batches(read_source(str(path), cache=tmp_path))


def test_the_name_is_downloaded_once_and_read_from_the_cache(tmp_path, monkeypatch):
    content = cifar10_archive(cifar10_contents())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(content) as (address, asked):
        url = f"{address}/cifar-10-binary.tar.gz"
        monkeypatch.setattr(builtin, "CIFAR10", PublishedFile(url=url, sha256=hashlib.sha256(content).hexdigest()))
        for _ in range(2):
            assert_holds_the_batches(read_source("cifar10", cache=tmp_path))

    assert asked == ["/cifar-10-binary.tar.gz"]


def test_the_name_refuses_another_archive_than_the_published_one(tmp_path, monkeypatch):
    write_archive(tmp_path, cifar10_archive(cifar10_contents()))
    monkeypatch.setattr(
        builtin, "CIFAR10", PublishedFile(url="http://127.0.0.1:9/cifar-10-binary.tar.gz", sha256="0" * 64)
    )
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    with pytest.raises(BadData, match="by hand") as error:
        read_source("cifar10", cache=tmp_path)

    assert len(str(error.value).splitlines()) == 3


def test_labels_follow_their_images_into_the_split(tmp_path):
    batches = cifar10_batches(40)
    known = {image.tobytes(): label for name in TRAIN_FILES for image, label in zip(*batches[name], strict=True)}

    dataset = load_dataset(DataSpec(source=str(write_cifar10(tmp_path, cifar10_contents(40)))), cache=tmp_path)

    assert dataset.train_labels.tolist() == [known[image.tobytes()] for image in dataset.train]


def test_of_the_full_size_the_last_5000_are_validated_on(tmp_path):
    records = np.zeros((60_000, 3073), np.uint8)
    records[:, 1:4] = np.random.default_rng(3).integers(0, 256, (60_000, 3))
    contents = [part.tobytes() for part in np.split(records, 6)]

    source = read_source(str(write_cifar10(tmp_path, dict(zip(CIFAR10_FILES, contents, strict=True)))), cache=tmp_path)

    assert (len(source.train), len(source.test)) == (50_000, 10_000)
    assert source.protocol == Protocol(validation=5_000)


def without(name: str) -> dict[str, bytes]:
    return {file: content for file, content in cifar10_contents().items() if file != name}


def with_label(label: int) -> dict[str, bytes]:
    images, labels = cifar10_batches()["data_batch_3.bin"]
    return cifar10_contents() | {
        "data_batch_3.bin": cifar10_bytes(images, np.where(labels == labels[4], label, labels))
    }


BAD_CONTENTS = [
    ("no test batch", without("test_batch.bin"), "there is no test_batch.bin"),
    ("no second batch", without("data_batch_2.bin"), "there is no data_batch_2.bin"),
    ("cut", cifar10_contents() | {"data_batch_4.bin": b"\1" * 3000}, "its 3,000 bytes are not"),
    ("empty", cifar10_contents() | {"test_batch.bin": b""}, "its 0 bytes are not"),
    ("shorter", cifar10_contents() | {"data_batch_5.bin": b"\1" * 3073}, "equally many images, but they hold 1 to 20"),
    ("label 10", with_label(10), "data_batch_3.bin: labels must be 0 to 9, but one is 10"),
    ("label 255", with_label(255), "labels must be 0 to 9, but one is 255"),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("contents", "says"), [case[1:] for case in BAD_CONTENTS], ids=[case[0] for case in BAD_CONTENTS]
)
def test_files_that_are_not_what_they_should_be_are_refused(tmp_path, contents, says, packed):
    packed_path = write_archive(tmp_path, cifar10_archive(contents))
    path = packed_path if packed else write_cifar10(tmp_path / "folder", contents)

    with pytest.raises(BadData) as error:
        read_source(str(path), cache=tmp_path)

    assert says in str(error.value)
    assert str(error.value).startswith(str(path))
    assert len(str(error.value).splitlines()) <= 3


def test_the_pickled_version_is_not_read(tmp_path):
    write_cifar10(tmp_path, {name.removesuffix(".bin"): b"\x80\x04N." for name in CIFAR10_FILES})

    with pytest.raises(BadData, match="pickles are not read"):
        read_source(str(tmp_path), cache=tmp_path)


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def in_folder(*folders: str) -> bytes:
    return tar_gz({f"{folder}{name}": content for folder in folders for name, content in cifar10_contents().items()})


def with_members(*members: tuple[str, bytes]) -> bytes:
    """An archive whose members are no files."""
    path_less = [tarfile.TarInfo(name) for name, _ in members]
    for info, (_, kind) in zip(path_less, members, strict=True):
        info.type, info.linkname = kind, "/etc/passwd"
    return gzip.compress(b"".join(info.tobuf() for info in path_less) + bytes(1024))


WHOLE = cifar10_archive(cifar10_contents())
BAD_ARCHIVES = [
    ("cut", WHOLE[: len(WHOLE) // 2], "truncated or damaged"),
    ("cut in the checksum", WHOLE[:-4], "truncated or damaged"),
    ("flipped bit", flipped(WHOLE, len(WHOLE) // 2), "truncated or damaged"),
    ("tar cut, gzip whole", gzip.compress(gzip.decompress(WHOLE)[:50_000]), "truncated"),
    ("empty", b"", "truncated or damaged"),
    ("no gzip", b"hello", "truncated or damaged"),
    ("no tar", gzip.compress(b"hello"), "truncated or damaged"),
    ("other files", tar_gz({"a.txt": b"hello"}), "must hold pictures"),
    ("the pickled version", tar_gz({"cifar-10-batches-py/data_batch_1": b"\x80"}), "pickles are not read"),
    (
        "absolute",
        tar_gz({f"/{name}": content for name, content in cifar10_contents().items()}),
        "there is no data_batch_1",
    ),
    (
        "outside",
        tar_gz({f"../{name}": content for name, content in cifar10_contents().items()}),
        "there is no data_batch_1",
    ),
    ("links", with_members(*((name, tarfile.SYMTYPE) for name in CIFAR10_FILES)), "there is no data_batch_1"),
    ("hard links", with_members(*((name, tarfile.LNKTYPE) for name in CIFAR10_FILES)), "there is no data_batch_1"),
    ("devices", with_members(*((name, tarfile.CHRTYPE) for name in CIFAR10_FILES)), "there is no data_batch_1"),
    ("folders", with_members(*((name, tarfile.DIRTYPE) for name in CIFAR10_FILES)), "there is no data_batch_1"),
    (
        "twice",
        in_folder("", "./"),
        "data_batch_1.bin is in it twice",
    ),
]


@pytest.mark.parametrize(
    ("content", "says"), [case[1:] for case in BAD_ARCHIVES], ids=[case[0] for case in BAD_ARCHIVES]
)
def test_an_archive_that_is_damaged_or_another_is_refused_and_nothing_is_unpacked(tmp_path, content, says):
    path = write_archive(tmp_path, content)

    with pytest.raises(BadData) as error:
        read_source(str(path), cache=tmp_path)

    assert says in str(error.value)
    assert len(str(error.value).splitlines()) <= 3
    assert [*tmp_path.rglob("*")] == [path]


def test_the_full_cifar10_is_read_as_its_page_describes_it(cifar10_path, tmp_path):
    source = read_source(str(cifar10_path), cache=tmp_path)

    assert source.train.pixels.shape == (50_000, 32, 32, 3)
    assert source.test.pixels.shape == (10_000, 32, 32, 3)
    assert np.bincount(source.labels["train"]).tolist() == [5_000] * 10
