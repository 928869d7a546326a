"""Copies among images, and what is said and kept of the images that were read."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.pictures import grey, png_bytes, write_folder
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import Dataset, load_dataset
from vae_search.spec.sections import DataSpec


def load(path, **fields) -> Dataset:
    return load_dataset(DataSpec(source=str(path), **fields), cache=path.parent)


def test_copies_across_given_splits_are_counted(tmp_path):
    np.savez(tmp_path / "leak.npz", x_train=grey(300), x_test=grey(300)[:60])
    train = load(tmp_path / "leak.npz").train
    in_train = sum(
        any(np.array_equal(image[..., 0], other) for other in train[..., 0]) for image in grey(60)[..., None]
    )

    summary = load(tmp_path / "leak.npz").summary

    assert summary.copies == 60
    assert summary.in_train == {"select": 0, "judge": 0, "test": in_train}
    assert summary.held_out_share_in_train == in_train / 60 > 0.5
    assert f"{in_train} of 60 test images" in summary.sentences[2]


def test_every_picture_five_times_is_a_fifth_and_its_copies(tmp_path):
    np.save(tmp_path / "a.npy", np.repeat(grey(60), 5, axis=0))

    summary = load(tmp_path / "a.npy").summary

    assert summary.copies == 240
    assert all(summary.in_train[part] > 0.9 * summary.parts[part] for part in ("select", "judge", "test"))


def test_different_images_are_no_copies_and_nothing_is_said_of_them(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=grey(360)[:300], x_test=grey(360)[300:])

    summary = load(tmp_path / "a.npz").summary

    assert (summary.copies, summary.held_out_share_in_train) == (0, 0.0)
    assert summary.sentences == (
        "360 images of 6×5, grey, intensities 0 … 1, white is 255: 250 to train on, 25 to select and 25 to judge by, "
        "60 of the source's own to test.",
    )


def test_equal_intensities_are_copies_whatever_their_bytes_are(tmp_path):
    train = np.random.default_rng(1).random((200, 6, 6)).astype(np.float32)
    train[:100] = train[:100] > 0.5
    np.savez(tmp_path / "a.npz", x_train=train, x_test=(train[:100] > 0.5).astype(np.float64))

    summary = load(tmp_path / "a.npz").summary

    assert summary.copies == 100


@pytest.mark.parametrize("source", ["digits", "photo_patches"])
def test_the_data_sets_of_the_package_have_no_copies(source, tmp_path):
    summary = load_dataset(DataSpec(source=source, binarize="none"), cache=tmp_path).summary

    assert (summary.copies, summary.held_out_share_in_train) == (0, 0.0)


@pytest.mark.fashion
def test_fashion_mnist_has_no_copies(fashion_mnist_path, tmp_path):
    summary = load_dataset(DataSpec(source=str(fashion_mnist_path)), cache=tmp_path).summary

    assert (summary.copies, summary.held_out_share_in_train, summary.images) == (0, 0.0, 70_000)


def test_a_summary_says_what_was_left_out(tmp_path):
    write_folder(tmp_path / "p", grey(200))
    (tmp_path / "p" / "a.svg").write_bytes(png_bytes(grey()[0]))

    assert load(tmp_path / "p").summary.sentences[-1].startswith("Left out, as no pictures by their endings: 1 files")


def test_a_summary_is_the_same_after_it_was_stored_and_no_part_of_the_task(tmp_path):
    write_folder(tmp_path / "p", grey(200))
    dataset = load(tmp_path / "p")
    other = replace(dataset, summary=replace(dataset.summary, copies=7, notes=("A note.",)))

    assert DatasetSummary.from_json(other.summary.to_json()) == other.summary
    assert comparability_key(dataset, likelihood="bernoulli") == comparability_key(other, likelihood="bernoulli")


@pytest.mark.parametrize("fields", [None, "x", {}, {"range": [0, 1]}, {"range": 3, "height": 2}])
def test_what_is_no_summary_is_none(fields):
    assert DatasetSummary.from_json(fields) is None
