import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.support.pictures import grey, write_idx
from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import load_dataset
from vae_search.data.labelling.source_labels import source_labels
from vae_search.data.tasks import JudgeTask
from vae_search.spec.sections import DataSpec

LABELS = np.arange(200) % 7


def idx_labels(labels: np.ndarray) -> bytes:
    return struct.pack(">II", 0x0801, len(labels)) + labels.astype(np.uint8).tobytes()


def loaded(source: Path | str, cache: Path):
    return load_dataset(DataSpec(source=str(source)), cache=cache)


def test_labels_of_the_digits_are_those_of_their_images(tmp_path):
    digits = loaded("digits", tmp_path)
    known = {image.tobytes(): label for image, label in zip(load_digits().images, load_digits().target, strict=True)}

    found = [known[image.astype(np.float64)[..., 0].tobytes()] for image in digits.train]

    np.testing.assert_array_equal(digits.train_labels, found)


@pytest.mark.parametrize("zipped", [True, False])
def test_labels_beside_idx_images_are_found(tmp_path, zipped):
    write_idx(tmp_path, grey(200), grey(50), zipped=zipped)
    content = idx_labels(LABELS)
    name = "train-labels-idx1-ubyte"
    (tmp_path / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)

    np.testing.assert_array_equal(source_labels(str(tmp_path), 200), LABELS)


def test_labels_follow_their_images_into_the_split(tmp_path):
    images = grey(200)
    images[:, 0, 0] = np.arange(200)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(200))

    dataset = loaded(tmp_path / "a.npz", tmp_path)

    np.testing.assert_array_equal(dataset.train_labels, dataset.train[:, 0, 0, 0])
    assert JudgeTask.of(dataset).train_labels is dataset.train_labels


def test_labels_are_no_part_of_a_tasks_identity(tmp_path):
    np.savez(tmp_path / "with.npz", x_train=grey(200), y_train=LABELS)
    np.savez(tmp_path / "without.npz", x_train=grey(200))

    labelled, bare = (loaded(tmp_path / name, tmp_path) for name in ("with.npz", "without.npz"))

    assert bare.train_labels is None
    assert labelled.train_labels is not None
    keys = {comparability_key(dataset, likelihood="bernoulli") for dataset in (labelled, bare)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(199),
        np.arange(200) - 1,
        np.full(200, 3),
        np.linspace(0, 1, 200),
        np.arange(200) * 1000,
        np.array(["shoe"] * 200),
        np.array([object()] * 200),
        np.zeros((200, 10), np.int64),
        np.array(3),
    ],
    ids=lambda labels: f"{labels.dtype}{labels.shape}",
)
def test_what_is_no_class_number_per_image_counts_as_no_labels(tmp_path, labels):
    np.savez(tmp_path / "a.npz", x_train=grey(200), y_train=labels)

    assert source_labels(str(tmp_path / "a.npz"), 200) is None


@pytest.mark.parametrize(
    "content", [b"", idx_labels(LABELS)[:100], idx_labels(LABELS[:-1]), idx_labels(LABELS) + b"x", b"\x1f\x8b broken"]
)
def test_a_damaged_label_file_counts_as_no_labels(tmp_path, content):
    write_idx(tmp_path, grey(200), grey(50))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(
        content if content[:2] == b"\x1f\x8b" else gzip.compress(content)
    )

    assert source_labels(str(tmp_path), 200) is None
