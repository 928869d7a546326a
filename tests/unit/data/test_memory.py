"""Small files that would explode: refused before their images are unpacked, in bounded memory."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.paths import ROOT
from tests.support.pictures import grey, png_by_hand, png_bytes, write_folder
from vae_search.core.machine import usable_memory_bytes
from vae_search.data import image_checks
from vae_search.data.random_access.mapped_images import MappedImages
from vae_search.data.sources import read_source
from vae_search.errors import BadData

ROWS = 512
READ = """
import resource, sys
from pathlib import Path
from vae_search.data import sources
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
import pyarrow.parquet
before = peak()
try:
    print(len(sources.read_source(sys.argv[1], cache=Path("none")).train), "read")
except sources.BadData as error:
    print(str(error).replace("\\n", " "))
print(peak() - before)
"""


def read_in_a_process(path: Path) -> tuple[str, int]:
    """What reading it comes to, and the bytes that it took at most."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout
    answer, peak = done.splitlines()
    return answer, int(peak)


def repeated(path: Path, value: bytes, *, nested: bool) -> Path:
    """One value in the dictionary, and as many rows of it."""
    column: pa.Array = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array([value]))
    if nested:
        column = pa.StructArray.from_arrays([column, pa.array(["x"] * ROWS)], names=["bytes", "path"])
    pq.write_table(pa.table({"image": column}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 10_000
    return path


def limited(monkeypatch: pytest.MonkeyPatch, memory_bytes: int) -> None:
    monkeypatch.setattr(image_checks, "usable_memory_bytes", lambda: memory_bytes)


@pytest.mark.parametrize("nested", [False, True], ids=["bytes", "struct"])
def test_a_parquet_dictionary_of_padded_pictures_is_not_expanded_all_at_once(tmp_path, nested):
    padded = png_bytes(grey(1, 8, 8)[0]) + bytes(2_000_000)

    answer, peak = read_in_a_process(repeated(tmp_path / "a.parquet", padded, nested=nested))

    assert "all 512 are the same" in answer  # it was read: a picture with two megabytes behind it is one
    assert peak < 200e6  # 512 rows of it are 1 GB


@pytest.mark.parametrize("nested", [False, True], ids=["bytes", "struct"])
def test_a_giant_value_in_a_parquet_dictionary_is_refused_before_it_is_repeated(tmp_path, nested):
    giant = png_bytes(grey(1, 8, 8)[0]) + bytes(16_000_000)

    answer, peak = read_in_a_process(repeated(tmp_path / "a.parquet", giant, nested=nested))

    assert "at most 512 pixels high and wide" in answer
    assert peak < 200e6


def test_a_parquet_column_that_unpacks_to_more_than_may_be_held_is_refused(tmp_path, monkeypatch):
    limited(monkeypatch, 20 * 2**20)
    values = pa.array(np.zeros(ROWS * 64 * 64, np.int64))
    lists = pa.ListArray.from_arrays(pa.array(np.arange(ROWS + 1) * 64 * 64, pa.int32()), values)
    pq.write_table(pa.table({"image": lists}), tmp_path / "a.parquet", compression="zstd")

    with pytest.raises(BadData, match=r"unpacked values must fit in 0.00488 GiB \(25% of the memory here\)"):
        read_source(str(tmp_path / "a.parquet"), cache=tmp_path)


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_parquet_rows_come_out_in_order_whatever_their_row_groups_are(tmp_path, rows):
    encoded = [png_bytes(image) for image in grey(300)]
    pq.write_table(pa.table({"image": [*encoded[:299], encoded[0]]}), tmp_path / "a.parquet", row_group_size=rows)

    source = read_source(str(tmp_path / "a.parquet"), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[:299, ..., 0], grey(300)[:299])
    np.testing.assert_array_equal(source.train.pixels[299], source.train.pixels[0])


@pytest.mark.parametrize("keys", [("x_train",), ("x_train", "x_test")])
def test_an_npz_of_zeros_is_refused_by_its_directory_before_it_is_unpacked(tmp_path, monkeypatch, keys):
    limited(monkeypatch, 64 * 2**20)
    np.savez_compressed(tmp_path / "a.npz", **dict.fromkeys(keys, np.zeros((18 // len(keys), 1024, 1024), np.uint8)))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))

    with pytest.raises(BadData, match=r"decoded images must fit in 0\.0156 GiB"):
        read_source(str(tmp_path / "a.npz"), cache=tmp_path)


def test_pictures_in_colour_are_counted_in_colour(tmp_path, monkeypatch):
    write_folder(tmp_path / "p", grey(40, 64, 64))
    (tmp_path / "p" / "0039.png").write_bytes(png_bytes(np.zeros((64, 64, 3), np.uint8)))
    limited(monkeypatch, 4 * 40 * 64 * 64 * 2)

    assert isinstance(read_source(str(tmp_path / "p"), cache=tmp_path).train.pixels, MappedImages)


def test_training_and_test_images_are_counted_together(tmp_path, monkeypatch):
    write_folder(tmp_path / "p" / "train", grey(40, 16, 16))
    write_folder(tmp_path / "p" / "test", grey(40, 16, 16))
    limited(monkeypatch, 4 * 60 * 16 * 16)

    found = read_source(str(tmp_path / "p"), cache=tmp_path)

    assert isinstance(found.train.pixels, MappedImages)
    assert isinstance(found.test.pixels, MappedImages)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, None),
        ({"proc/self/cgroup": "0::/hosts/path\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000),
        ({"proc/self/cgroup": "4:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "3000\n"}, 3000),
        ({}, None),
    ],
    ids=["the parent's", "none", "a container's", "version 1", "not Linux"],
)
def test_the_memory_of_a_container_is_its_limit(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)

    found = usable_memory_bytes(tmp_path)

    assert found == (expected or found)
    assert found > 2**20 or expected


def test_a_limit_of_the_process_counts_as_memory():
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({3 * 2**30}, resource.RLIM_INFINITY))\n"
        "from vae_search.data.image_checks import decoded_limit_bytes\n"
        "print(decoded_limit_bytes())"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)

    assert int(done.stdout) <= 3 * 2**30 / 4


def test_a_picture_of_huge_dimensions_is_refused_from_its_header(tmp_path):
    write_folder(tmp_path / "p", grey())
    (tmp_path / "p" / "0000.png").write_bytes(png_by_hand(13_000, 13_000))

    answer, peak = read_in_a_process(tmp_path / "p")

    assert "at most 512 pixels high and wide" in answer
    assert peak < 50e6  # decoded, it is 169 MB
