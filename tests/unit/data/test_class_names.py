"""Classes that conditional models see: their names and counts, new images by name, and the mean image of each."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import grey, idx_bytes
from vae_search.core.dataset_summary import Classes, DatasetSummary
from vae_search.data.builtin import FASHION_CLASSES
from vae_search.data.dataset import Dataset, load_dataset, load_new_images
from vae_search.data.formats.any_path import files_beside
from vae_search.data.formats.published.cifar10 import CLASS_NAMES
from vae_search.data.image_checks import Images
from vae_search.data.labelling.model_labels import labels_for_model
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import TrainingTask
from vae_search.errors import BadData
from vae_search.spec.sections import DataSpec

KNOWN = Classes(counts=(5, 0, 7), names=("cat", "cow", "dog"))


def loaded(source: Path | str, cache: Path, *, condition: str | None = "label") -> Dataset:
    return load_dataset(DataSpec(source=str(source), binarize="none", condition=condition), cache=cache)


def marked(count: int, *, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images whose first pixel says their class, and the classes."""
    images, labels = grey(count, 6, 6), (first + np.arange(count)) % 5
    images[:, 0, 0] = 50 * labels
    return images, labels


def save_pictures(folder: Path, images: np.ndarray, names: list[str]) -> None:
    for position, (image, name) in enumerate(zip(images, names, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name / f"{position}.png")


def zipped(folder: Path) -> Path:
    """The folder as an archive beside it, its pictures in another order than that of their paths."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            file.write(path, path.relative_to(folder))
    return archive


@pytest.mark.parametrize("packed", [False, True])
def test_class_folders_give_their_names_and_the_number_of_their_training_images(tmp_path, packed):
    images, labels = marked(300)
    save_pictures(tmp_path / "pictures", images, [f"of {'abcde'[label]}" for label in labels])
    place = zipped(tmp_path / "pictures") if packed else tmp_path / "pictures"

    dataset = loaded(place, tmp_path)

    classes = dataset.summary.classes
    for part, of in dataset.shown_labels.parts.items():
        np.testing.assert_array_equal(getattr(dataset, part)[:, 0, 0, 0] // 50, of)
    assert classes.names == ("of a", "of b", "of c", "of d", "of e")
    assert classes.counts == tuple(np.bincount(dataset.shown_labels.parts["train"]))
    assert DatasetSummary.from_json(json.loads(json.dumps(dataset.summary.to_json()))) == dataset.summary
    assert f"Training images of 5 classes: of a ({classes.counts[0]})" in " ".join(dataset.summary.sentences)
    assert TrainingTask.of(dataset).known_classes == classes


def test_words_in_a_csv_name_the_classes(tmp_path):
    images, labels = marked(300)
    words = np.array(["zero", "one", "two", "three", "four"])[labels]
    rows = [f"{word},{','.join(map(str, image.ravel()))}" for word, image in zip(words, images, strict=True)]
    head = ",".join(["label", *(f"pixel{k}" for k in range(images[0].size))])
    (tmp_path / "a.csv").write_text("\n".join([head, *rows]))

    found = loaded(tmp_path / "a.csv", tmp_path).shown_labels

    assert found.names == ("four", "one", "three", "two", "zero")
    assert found.classes == 5


def test_published_sets_and_arrays_of_a_class_each_have_names(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "drawn").mkdir(exist_ok=True)
        np.save(tmp_path / "drawn" / f"{name}.npy", grey(150 + 3 * (name == "dog")))

    assert loaded(tmp_path / "drawn", tmp_path).summary.classes.names == ("cat", "dog")
    assert len(FASHION_CLASSES) == len(CLASS_NAMES) == 10


def test_a_data_set_without_names_has_numbers(tmp_path):
    dataset = loaded("digits", tmp_path)

    assert dataset.summary.classes.names == ()
    assert dataset.summary.classes.title(3) == "3"
    assert loaded("digits", tmp_path, condition=None).summary.classes is None


def test_pictures_of_one_class_are_refused(tmp_path):
    images, _ = marked(100)
    save_pictures(tmp_path / "pictures", images, ["cats"] * 100)

    with pytest.raises(BadData, match="needs images of two classes, but all are of cats"):
        loaded(tmp_path / "pictures", tmp_path)


def test_labels_lie_beside_idx_images_of_other_names(tmp_path):
    (train, labels), (test, test_labels) = marked(300), marked(60, first=2)
    for name, images, of in (("train", train, labels), ("test", test, test_labels)):
        (tmp_path / f"letters-{name}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        content = struct.pack(">II", 0x0801, len(of)) + (of + 1).astype(np.uint8).tobytes()  # as EMNIST's: from 1 on
        (tmp_path / f"letters-{name}-labels-idx1-ubyte").write_bytes(content)

    by_file = loaded(tmp_path / "letters-train-images-idx3-ubyte", tmp_path)
    by_folder = loaded(tmp_path, tmp_path)

    for dataset in (by_file, by_folder):
        np.testing.assert_array_equal(dataset.train[:, 0, 0, 0] // 50 + 1, dataset.shown_labels.parts["train"])
        assert dataset.summary.classes.seen == (1, 2, 3, 4, 5)
    assert [file.name for file in files_beside(tmp_path / "letters-train-images-idx3-ubyte")] == [
        *("letters-test-images-idx3-ubyte", "letters-test-labels-idx1-ubyte"),
        *("letters-train-images-idx3-ubyte", "letters-train-labels-idx1-ubyte"),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("cat", 0),
        ("dog", 2),
        ("2", 2),
        ("1", None),
        ("3", None),
        ("-1", None),
        ("Cat", None),
        ("²", None),
        ("9" * 99, None),
    ],
)
def test_a_class_is_meant_by_its_name_or_its_number(text, number):
    assert KNOWN.number_of(text) == number
    assert Classes(counts=(1,) * 3, names=("1", "10", "2")).number_of("2") == 2  # the name first


@pytest.mark.parametrize(
    ("given", "names", "known", "expected"),
    [
        ([0, 1], ("cat", "dog"), KNOWN, [0, 2]),  # by name, although dog is the second here
        ([0, 0], ("dog",), KNOWN, [2, 2]),
        ([2, 0], (), KNOWN, [2, 0]),
        ([0, 1], ("0", "2"), Classes(counts=KNOWN.counts), [0, 2]),
        ([0, 1, 2], ("0", "1", "10"), Classes(counts=(1,) * 11), [0, 1, 10]),
    ],
)
def test_new_images_get_the_models_numbers_of_their_classes(given, names, known, expected):
    found = labels_for_model(np.array(given), names, known=known, where="new")

    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("given", "names", "known", "words"),
    [
        (None, (), KNOWN, "but these have none.\nLabels come from"),
        ([0, 1], ("cat", "dogs"), KNOWN, "classes that the model knows, but these are not: dogs.\nDid you mean dog?"),
        ([0, 1], (), KNOWN, "but these are not: 1.\nIts classes are cat, dog."),  # no training image was one
        ([0, 10], (), Classes(counts=(1,) * 10), "but these are not: 10.\nIts classes are the numbers 0 to 9."),
        ([0, 1], ("cat", "dog"), Classes(counts=(1, 1)), "but these are not: cat, dog.\nIts classes are the numbers 0"),
        ([0, 1], ("0", "2"), KNOWN, "but these are not: 0, 2.\nIts classes are cat, dog."),  # in no order that is told
    ],
)
def test_new_images_of_unknown_classes_are_refused(given, names, known, words):
    with pytest.raises(BadData) as refused:
        labels_for_model(None if given is None else np.array(given), names, known=known, where="new")

    assert words in str(refused.value)


def test_new_images_may_all_be_of_one_class(tmp_path):
    images, _ = marked(200)
    np.savez(tmp_path / "new.npz", images=images, labels=np.full(200, 3))

    found = load_new_images(str(tmp_path / "new.npz"), binarize="none", cache=tmp_path, with_labels=True)

    np.testing.assert_array_equal(found.labels, np.full(200, 3))
    with pytest.raises(BadData, match="needs images of two classes, but all are of class 3"):
        loaded(tmp_path / "new.npz", tmp_path)


@pytest.mark.parametrize("parted", [False, True])
def test_new_images_in_class_folders_bring_their_names(tmp_path, parted):
    images, labels = marked(200)
    for part in ("train", "test") if parted else ("",):
        save_pictures(tmp_path / "new" / part, images, [f"of {'abcde'[label]}" for label in labels])

    found = load_new_images(str(tmp_path / "new"), binarize="none", cache=tmp_path, with_labels=True)

    np.testing.assert_array_equal(found.labels, found.pixels[:, 0, 0, 0] // 50)
    assert found.class_names == ("of a", "of b", "of c", "of d", "of e")


def test_the_mean_image_of_a_class_is_that_of_its_images_and_one_like_all(tmp_path):
    dataset = loaded("digits", tmp_path)
    pixels, labels = dataset.train / dataset.scale, dataset.shown_labels.parts["train"]

    threes = pixels[labels == 3]
    expected = np.concatenate([threes, pixels.mean(axis=0, keepdims=True)]).mean(axis=0)

    assert len(dataset.class_pixels) == 10
    np.testing.assert_allclose(dataset.class_pixels[3].mean, expected, atol=1e-6)
    assert loaded("digits", tmp_path, condition=None).class_pixels == ()


def test_the_pixels_of_all_classes_together_are_those_of_all():
    images = Images(pixels=grey(200)[..., None], scale=255.0)
    labels = np.arange(200) % 2 * 2  # none of class 1
    whole = PixelStatistics.of(images, levels=256)

    first, none, _ = whole.by_class(images, labels)

    one_class = whole.by_class(images, np.zeros(200, int))[0]
    np.testing.assert_allclose(one_class.mean, whole.mean, atol=1e-6)
    np.testing.assert_allclose(one_class.variance, whole.variance, atol=1e-6)
    np.testing.assert_allclose(none.mean, whole.mean, atol=1e-6)
    assert ((first.lowest > 0) & (first.lowest < 1) & (first.highest > 0) & (first.highest < 1)).all()


def test_pictures_that_do_not_fit_in_memory_have_the_same_classes_and_mean_images(tmp_path):
    images, labels = marked(300)
    save_pictures(tmp_path / "pictures", images, [f"of {'abcde'[label]}" for label in labels])
    spec = DataSpec(source=str(tmp_path / "pictures"), binarize="none", condition="label")

    held, decoded, again = (load_dataset(spec, cache=tmp_path, held_bytes=limit) for limit in (None, 1000, 1000))

    assert decoded.is_mapped
    for mapped in (decoded, again):
        assert mapped.summary == held.summary
        assert mapped.shown_labels.sha256 == held.shown_labels.sha256
        for own, other in zip(held.class_pixels, mapped.class_pixels, strict=True):
            np.testing.assert_array_equal(own.mean, other.mean)
            np.testing.assert_array_equal(own.variance, other.variance)
