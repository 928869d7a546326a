"""Labels of tables without a header: found over all rows, at the one end that can hold them."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.people_files.drawings import drawings
from vae_search.data.formats.arrays import csv_pixels
from vae_search.data.formats.arrays.csv_pixels import read_csv
from vae_search.errors import BadData

ROWS = drawings().reshape(200, -1)
SORTED = np.arange(200) // 20


def written(folder: Path, table: np.ndarray) -> Path:
    np.savetxt(folder / "a.csv", table, fmt="%d", delimiter=",")
    return folder / "a.csv"


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("corner", [0, 255])
def test_labels_sorted_by_class_are_found_although_the_first_rows_are_of_one(tmp_path, monkeypatch, is_last, corner):
    monkeypatch.setattr(csv_pixels, "BLOCK_BYTES", 2**14)
    rows = ROWS.copy()
    rows[:3, [0, -1]] = corner  # varies at once, where the labels do not yet
    columns = (rows, SORTED) if is_last else (SORTED, rows)

    found = read_csv(written(tmp_path, np.column_stack(columns)))

    np.testing.assert_array_equal(found.labels["train"], SORTED)
    np.testing.assert_array_equal(found.train.reshape(200, -1), rows)


@pytest.mark.parametrize("is_last", [False, True])
def test_labels_written_as_floats_leave_the_pixels_bytes(tmp_path, is_last):
    rows = [
        [*row, f"{label}.0"] if is_last else [f"{label}.0", *row]
        for row, label in zip(ROWS.tolist(), SORTED, strict=True)
    ]
    (tmp_path / "a.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))

    found = read_csv(tmp_path / "a.csv")

    assert found.train.dtype == np.uint8
    np.testing.assert_array_equal(found.train.reshape(200, -1), ROWS)
    np.testing.assert_array_equal(found.labels["train"], SORTED)


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    "ends",
    [
        (SORTED, SORTED % 3),  # both
        (np.arange(200), np.zeros(200)),  # neither: numbers of rows
        (np.zeros(200), np.zeros(200)),
        (SORTED, np.full(200, 3000)),  # the other is no pixel
    ],
)
def test_ends_that_are_not_clear_are_refused_with_the_command_that_adds_a_header(tmp_path, ends, is_packed):
    path = written(tmp_path, np.column_stack((ends[0], ROWS[:, :-1], ends[1])))
    if is_packed:
        path = path.rename(tmp_path / "plain")
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.csv.gz"

    with pytest.raises(BadData, match="Add a header where it lies") as refused:
        read_csv(path)

    command = str(refused.value).splitlines()[1].replace("python", sys.executable, 1)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    named = read_csv(tmp_path / "named.csv")
    np.testing.assert_array_equal(named.labels["train"], ends[0])
    assert named.train.shape == (200, 28, 28)
