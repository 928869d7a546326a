"""Labels that models are conditioned on: of all parts, from every kind of source, and part of the task."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import grey, write_idx
from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import Dataset, load_dataset, load_new_images
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec

PARTS = ("train", "select", "judge", "test")


def loaded(source: Path | str, cache: Path, **fields) -> Dataset:
    return load_dataset(DataSpec(source=str(source), binarize="none", **fields), cache=cache)


def marked(count: int, *, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images whose first pixel says their class, and the classes."""
    images, labels = grey(count), (first + np.arange(count)) % 5
    images[:, 0, 0] = 50 * labels
    return images, labels


def assert_labels_fit(dataset: Dataset) -> None:
    shown = dataset.shown_labels
    assert shown is not None
    for part in PARTS:
        images = getattr(dataset, part)
        np.testing.assert_array_equal(images[:, 0, 0, 0] // 50, shown.parts[part])
    assert shown.classes == 5


def test_labels_of_an_npz_follow_their_images_into_all_parts(tmp_path):
    (train, labels), (test, test_labels) = marked(300), marked(60, first=2)
    np.savez(tmp_path / "a.npz", x_train=train, y_train=labels, x_test=test, y_test=test_labels)

    assert_labels_fit(loaded(tmp_path / "a.npz", tmp_path, condition="label"))


def test_labels_of_a_pool_follow_its_images_into_all_parts(tmp_path):
    train, labels = marked(300)
    np.savez(tmp_path / "a.npz", images=train, labels=labels)

    assert_labels_fit(loaded(tmp_path / "a.npz", tmp_path, condition="label"))


def test_labels_lie_beside_idx_images_of_both_parts(tmp_path):
    (train, labels), (test, test_labels) = marked(300), marked(60, first=2)
    write_idx(tmp_path, train, test)
    for name, of in (("train", labels), ("t10k", test_labels)):
        content = struct.pack(">II", 0x0801, len(of)) + of.astype(np.uint8).tobytes()
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(content)
        images = next(tmp_path.glob(f"{name}-images*"))
        if images.suffix == ".gz":
            import gzip

            (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(content))

    assert_labels_fit(loaded(tmp_path, tmp_path, condition="label"))


def test_class_folders_are_numbered_by_their_names(tmp_path):
    images, labels = marked(300)
    for position, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "pictures" / f"class {'abcde'[label]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{position}.png")

    assert_labels_fit(loaded(tmp_path / "pictures", tmp_path, condition="label"))


def test_tasks_of_a_search_and_of_judges_have_the_labels_of_their_images(tmp_path):
    dataset = loaded("digits", tmp_path, condition="label")
    task, judge = TrainingTask.of(dataset), JudgeTask.of(dataset)

    assert task.classes == 10
    assert [len(task.labels.train), len(task.labels.select)] == [len(task.train), len(task.select)]
    np.testing.assert_array_equal(judge.labels, dataset.labels["judge"])
    assert len(JudgeTask.of_test(dataset).labels) == len(dataset.test)


def test_without_the_condition_models_see_no_labels_and_measures_do(tmp_path):
    dataset = loaded("digits", tmp_path)
    task, judge = TrainingTask.of(dataset), JudgeTask.of(dataset)

    assert (task.labels, task.classes, judge.labels) == (None, 0, None)
    np.testing.assert_array_equal(task.measured_labels, dataset.labels["select"])
    np.testing.assert_array_equal(judge.measured_labels, dataset.labels["judge"])


def test_scores_given_labels_have_a_key_of_their_own_which_depends_on_the_labels(tmp_path):
    train, labels = marked(300)
    np.savez(tmp_path / "a.npz", images=train, labels=labels)
    np.savez(tmp_path / "b.npz", images=train, labels=(labels + 1) % 5)
    found = [loaded(tmp_path / name, tmp_path, condition=condition) for name, condition in CASES]

    keys = [comparability_key(dataset, likelihood="gaussian") for dataset in found]

    assert keys[0] == keys[1]
    assert len({*keys}) == 3


CASES = [("a.npz", None), ("b.npz", None), ("a.npz", "label"), ("b.npz", "label")]


def test_images_without_labels_are_refused_with_what_brings_them(tmp_path):
    np.save(tmp_path / "a.npy", grey(300))

    with pytest.raises(BadData, match=r"needs the label of every image, but none has one\.\nLabels come from class"):
        loaded(tmp_path / "a.npy", tmp_path, condition="label")


def test_an_array_that_a_spec_names_does_not_get_the_labels_of_another(tmp_path):
    (images, labels), (others, _) = marked(200), marked(200, first=3)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_other=others)

    with pytest.raises(BadData, match="none has one"):
        loaded(tmp_path / "a.npz", tmp_path, array="x_other", condition="label")


def test_test_images_without_labels_are_refused(tmp_path):
    (train, labels), (test, _) = marked(300), marked(60)
    np.savez(tmp_path / "a.npz", x_train=train, y_train=labels, x_test=test)

    with pytest.raises(BadData, match="but those for test have none"):
        loaded(tmp_path / "a.npz", tmp_path, condition="label")


def test_a_class_without_training_images_is_refused(tmp_path):
    (train, labels), (test, _) = marked(300), marked(60)
    np.savez(tmp_path / "a.npz", x_train=train, y_train=labels, x_test=test, y_test=np.arange(60) % 7)

    with pytest.raises(BadData, match=r"those of 5, 6 are\s+all among the images for test"):
        loaded(tmp_path / "a.npz", tmp_path, condition="label")


def test_new_images_bring_their_labels(tmp_path):
    images, labels = marked(40)
    np.savez(tmp_path / "new.npz", images=images, labels=labels)

    np.testing.assert_array_equal(
        load_new_images(str(tmp_path / "new.npz"), binarize="none", cache=tmp_path).labels, labels
    )


def test_a_spec_without_the_key_is_written_as_before():
    from vae_search.spec.sweep_spec import parse_spec

    text = "name: a\ndata: {source: digits}\nsearch_space: {latent_dim: 4}\nbudget: {trials: 2, epochs: 9}\n"
    plain, told = (parse_spec(text, base=Path("/"), overrides=each) for each in ([], ["data.condition=label"]))

    assert "condition" not in json.dumps(plain.identity())
    assert plain.sha256 != told.sha256
