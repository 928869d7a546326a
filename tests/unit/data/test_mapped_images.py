"""Images that do not fit in memory: the same data set, from files of the cache."""

import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.paths import ROOT
from vae_search.data import image_checks
from vae_search.data.dataset import Dataset, load_dataset, load_new_images
from vae_search.data.random_access import image_reader, kept_folders
from vae_search.data.random_access.kept_folders import drop_damaged, kept_folder
from vae_search.data.random_access.mapped_images import MappedImages
from vae_search.data.random_access.mapped_source import mapped_source
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec

PARTS = ("train", "select", "judge", "test")
SMALL = 2000  # bytes of images that are held in memory, where a test wants them not to fit


def pixels(kind: str = "bytes", count: int = 260) -> np.ndarray:
    grey = np.random.default_rng(5).integers(0, 256, (count, 7, 5))
    grey[200] = grey[3]  # two copies, in one part or another
    grey[11] = grey[4]
    return {
        "bytes": grey.astype(np.uint8),
        "colour": np.random.default_rng(6).integers(0, 256, (count, 6, 5, 3)).astype(np.uint8),
        "integers": grey.astype(np.int32),
        "black and white": (grey > 100).astype(np.float32),
        "floats on a grid": (grey / 255).astype(np.float32),
        "floats": np.random.default_rng(7).random((count, 7, 5)),
        "by columns": np.asfortranarray(grey.astype(np.uint8)),
        "12 bits": (grey << 4 | 7).astype(np.uint16),
        "16 bits": (grey << 8).astype(np.uint16),
        "centred": (grey / 127.5 - 1).astype(np.float32),
        "centred, between levels": np.random.default_rng(7).uniform(-1, 1, (count, 7, 5)).astype(np.float32),
        "bytes as floats": grey.astype(np.float64),
    }[kind]


@pytest.fixture
def too_large(monkeypatch):
    """Call to let no more than some bytes of images be held in memory from now on."""
    return lambda size_bytes=SMALL: monkeypatch.setattr(image_checks, "MAX_BYTES", size_bytes)


def saved(folder: Path, kind: str = "bytes") -> str:
    folder.mkdir(exist_ok=True)
    np.save(folder / "images.npy", pixels(kind))
    return str(folder / "images.npy")


def both_ways(source: str, folder: Path, too_large, **fields) -> tuple[Dataset, Dataset]:
    spec = DataSpec.model_validate({"source": source} | fields)
    in_memory = load_dataset(spec, cache=folder / "cache")
    too_large()
    return in_memory, load_dataset(spec, cache=folder / "cache")


def assert_same(first: Dataset, second: Dataset) -> None:
    for part in PARTS:
        ours, theirs = getattr(first, part), getattr(second, part)
        assert (ours.shape, ours.dtype, ours.nbytes) == (theirs.shape, theirs.dtype, theirs.nbytes), part
        np.testing.assert_array_equal(ours[:], theirs[:], err_msg=part)
    for name in ("levels", "mean", "variance", "lowest", "highest"):
        np.testing.assert_array_equal(getattr(first.pixels, name), getattr(second.pixels, name), err_msg=name)
    for name in ("source", "scale", "binarize", "split", "fingerprint", "floor", "summary", "moved_draw"):
        assert getattr(first, name) == getattr(second, name), name


@pytest.mark.parametrize(
    ("kind", "binarize"),
    [
        ("bytes", "dynamic"),
        ("bytes", "threshold"),
        ("bytes", "none"),
        ("colour", "none"),
        ("integers", "dynamic"),
        ("black and white", "threshold"),
        ("floats on a grid", "none"),
        ("floats", "dynamic"),
        ("floats", "threshold"),
        ("by columns", "dynamic"),
        ("12 bits", "none"),
        ("16 bits", "none"),
        ("centred", "none"),
        ("centred, between levels", "dynamic"),
        ("bytes as floats", "none"),
    ],
)
def test_a_data_set_in_files_is_the_same_as_in_memory(kind, binarize, tmp_path, too_large):
    in_memory, in_files = both_ways(saved(tmp_path, kind), tmp_path, too_large, binarize=binarize)

    assert isinstance(in_memory.train, np.ndarray)
    assert isinstance(in_files.train, MappedImages)
    assert_same(in_memory, in_files)


@pytest.mark.parametrize("binarize", ["dynamic", "threshold", "none"])
def test_new_images_in_files_are_the_same_as_in_memory(binarize, tmp_path, too_large):
    np.save(tmp_path / "images.npy", pixels("bytes"))
    held = load_new_images(str(tmp_path / "images.npy"), binarize=binarize, cache=tmp_path)
    too_large()

    mapped = load_new_images(str(tmp_path / "images.npy"), binarize=binarize, cache=tmp_path)

    assert isinstance(mapped.pixels, MappedImages)
    np.testing.assert_array_equal(held.pixels, mapped.pixels[:])
    np.testing.assert_array_equal(held.statistics.variance, mapped.statistics.variance)


@pytest.mark.parametrize("binarize", ["dynamic", "threshold", "none"])
def test_a_data_set_is_made_ready_in_a_quarter_of_its_bytes(binarize, tmp_path, monkeypatch):
    for module in (image_checks, image_reader):
        monkeypatch.setattr(module, "BLOCK_PIXELS" if module is image_checks else "BLOCK_BYTES", 2**13)
    images = np.random.default_rng(8).integers(0, 256, (1500, 64, 64)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    spec = DataSpec.model_validate({"source": str(tmp_path / "images.npy"), "binarize": binarize})
    load_dataset(DataSpec(source=saved(tmp_path / "small")), cache=tmp_path, held_bytes=0)  # imports

    tracemalloc.start()  # counts NumPy's arrays, and no pages of mapped files
    try:
        dataset = load_dataset(spec, cache=tmp_path, held_bytes=0)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(dataset.train) == 1000
    assert peak_bytes < images.nbytes / 4


def test_any_index_reads_what_an_array_would_give(tmp_path, too_large):
    in_memory, in_files = both_ways(saved(tmp_path), tmp_path, too_large, binarize="none")

    for key in (0, -1, slice(3, 9), slice(None, None, -2), np.asarray([5, 5, 0, -1]), [7], slice(0, 0)):
        np.testing.assert_array_equal(in_files.train[key], in_memory.train[key], err_msg=str(key))
        np.testing.assert_array_equal(in_files.select[key], in_memory.select[key], err_msg=str(key))


def test_images_are_decoded_once_for_all_specs(tmp_path, too_large, monkeypatch):
    source, builds = saved(tmp_path), []
    too_large()
    monkeypatch.setattr(
        "vae_search.data.random_access.mapped_source._decode",
        lambda *given, make=mapped_source.__globals__["_decode"], **named: builds.append(1) or make(*given, **named),
    )

    for fields in ({"binarize": "dynamic"}, {"binarize": "none"}, {"binarize": "dynamic", "validation": 64}):
        load_dataset(DataSpec.model_validate({"source": source} | fields), cache=tmp_path / "cache")

    assert builds == [1]


def test_a_file_that_has_changed_is_decoded_anew(tmp_path, too_large):
    too_large()
    spec = DataSpec(source=saved(tmp_path))
    before = load_dataset(spec, cache=tmp_path / "cache")
    np.save(tmp_path / "images.npy", pixels()[::-1])

    after = load_dataset(spec, cache=tmp_path / "cache")

    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("name", ["train.pixels", "images.json", "validation.drawn", "seal.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "other bytes"])
def test_a_folder_that_is_not_whole_is_made_anew(name, damage, tmp_path, too_large):
    in_memory, _ = both_ways(saved(tmp_path), tmp_path, too_large, binarize="dynamic")
    (victim,) = (tmp_path / "cache/images").glob(f"*/{name}") if name != "seal.json" else _seals(tmp_path)[:1]
    if damage == "cut":
        os.truncate(victim, victim.stat().st_size // 2)
    elif damage == "other bytes":
        victim.write_bytes(bytes(victim.stat().st_size))
    else:
        victim.unlink()

    again = load_dataset(DataSpec(source=str(tmp_path / "images.npy")), cache=tmp_path / "cache")

    assert_same(in_memory, again)


@pytest.mark.parametrize("name", ["train.pixels", "test.drawn"])
def test_bytes_that_a_disk_has_changed_are_found_when_all_are_read(name, tmp_path, too_large):
    in_memory, in_files = both_ways(saved(tmp_path), tmp_path, too_large, binarize="dynamic")
    (victim,) = (tmp_path / "cache/images").glob(f"*/{name}")
    times, content = victim.stat(), bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    spec = DataSpec(source=str(tmp_path / "images.npy"))
    load_dataset(spec, cache=tmp_path / "cache")  # it looks whole

    assert drop_damaged(in_files.folders) == [victim.parent]

    again = load_dataset(spec, cache=tmp_path / "cache")
    assert_same(in_memory, again)
    assert drop_damaged(again.folders) == []


def damaged_folder(folder: Path) -> Path:
    kept = kept_folder(folder / "images" / "a", lambda part: (part / "x").write_bytes(b"right") and None)
    (kept / "x").write_bytes(b"wrong")
    return kept


def test_a_folder_that_another_process_has_made_anew_meanwhile_is_left(tmp_path, monkeypatch):
    folder, lock = damaged_folder(tmp_path), kept_folders._lock

    def lock_after_another(path: Path):
        """The lock, taken when another process has just had it."""
        monkeypatch.setattr(kept_folders, "_lock", lock)
        kept_folder(path, lambda part: (part / "x").write_bytes(b"right") and None)
        return lock(path)

    monkeypatch.setattr(kept_folders, "_lock", lock_after_another)

    assert drop_damaged([folder]) == [folder]  # whoever has mapped it has the damaged one

    assert (folder / "x").read_bytes() == b"right"


def test_a_damaged_folder_that_cannot_be_removed_is_not_told_as_removed(tmp_path, monkeypatch):
    folder = damaged_folder(tmp_path)

    def refused(self: Path, target: Path):
        raise PermissionError(13, "Permission denied")  # root, who may run this, is refused nothing

    monkeypatch.setattr(Path, "rename", refused)

    with pytest.raises(BadData, match=r"cannot be removed: Permission denied\.\nDelete that folder"):
        drop_damaged([folder])


def test_statistics_that_cannot_be_read_are_made_anew(tmp_path, too_large):
    in_memory, _ = both_ways(saved(tmp_path), tmp_path, too_large, binarize="dynamic")
    (victim,) = (tmp_path / "cache/images").glob("*/statistics.npz")
    times, content = victim.stat(), bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes(content)
    os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))

    again = load_dataset(DataSpec(source=str(tmp_path / "images.npy")), cache=tmp_path / "cache")

    assert_same(in_memory, again)


def _seals(folder: Path) -> list[Path]:
    return sorted((folder / "cache/images").glob("*/seal.json"))


BUILD = """
import sys, time
from pathlib import Path
from vae_search.data import image_checks
from vae_search.data.dataset import load_dataset
from vae_search.data.random_access import kept_folders
from vae_search.spec.sections import DataSpec
image_checks.MAX_BYTES = 2000
write, calls = kept_folders.KeptFile.__call__, []
def slowly(self, blocks, shape, dtype):
    Path(sys.argv[2], f"{self.path.name}-{len(calls)}-{time.monotonic_ns()}").touch()
    calls.append(1)
    if sys.argv[3] == self.path.name:
        self.path.write_bytes(b"half")
        print("writing", flush=True)
        sys.stdin.read()
    return write(self, blocks, shape, dtype)
kept_folders.KeptFile.__call__ = slowly
print(load_dataset(DataSpec(source=sys.argv[1]), cache=Path(sys.argv[2], "cache")).fingerprint, flush=True)
"""


def build(folder: Path, *, stops_at: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", BUILD, str(folder / "images.npy"), str(folder), stops_at]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stops_at", ["train.read", "validation.drawn"])
def test_a_process_that_is_killed_leaves_nothing_that_is_believed(stops_at, tmp_path, too_large):
    in_memory = load_dataset(DataSpec(source=saved(tmp_path)), cache=tmp_path / "cache")
    with build(tmp_path, stops_at=stops_at) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    too_large()

    again = load_dataset(DataSpec(source=str(tmp_path / "images.npy")), cache=tmp_path / "cache")

    assert_same(in_memory, again)
    assert not [path for path in (tmp_path / "cache/images").iterdir() if path.name.endswith(".part")]


def test_processes_that_start_at_once_decode_once(tmp_path):
    saved(tmp_path)
    with build(tmp_path, stops_at="train.read") as first:
        assert first.stdout.readline() == "writing\n"
        with build(tmp_path) as second:  # waits for the lock
            told, _ = first.communicate("")
            assert second.communicate("")[0] == told

    assert len(list(tmp_path.glob("train.read-*"))) == 1


def test_a_full_disk_is_told_before_anything_is_decoded(tmp_path, too_large, monkeypatch):
    too_large()
    source = saved(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**28 + 10))

    with pytest.raises(BadData) as refused:
        load_dataset(DataSpec(source=source), cache=tmp_path / "cache")

    assert str(refused.value) == (
        f"{source}: decoded images that do not fit in memory are kept in {tmp_path}/cache/images, but these take "
        "0.0 GiB, and 0.0 GiB are free.\n"
        "Free some room there, or set XDG_CACHE_HOME to a folder on a larger disk."
    )


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((300, 7, 5), np.nan), "images hold NaN"),
        (np.full((300, 7, 5), 3, np.uint8), "there is nothing to learn"),
        (np.random.default_rng(0).integers(0, 999, (300, 7, 5)), "must lie in 0 … 255"),
        (np.zeros((300, 7, 5, 2), np.uint8), "1 or 3 channels"),
    ],
)
def test_images_in_files_are_checked_as_those_in_memory(array, words, tmp_path, too_large):
    np.save(tmp_path / "images.npy", array)
    spec = DataSpec(source=str(tmp_path / "images.npy"))
    with pytest.raises(BadData) as in_memory:
        load_dataset(spec, cache=tmp_path / "cache")
    too_large()

    with pytest.raises(BadData, match=words) as in_files:
        load_dataset(spec, cache=tmp_path / "cache")

    assert str(in_files.value) == str(in_memory.value)
    assert not [path for path in (tmp_path / "cache/images").iterdir() if path.is_dir()]
