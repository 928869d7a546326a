import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.pictures import grey, write_idx
from vae_search.data.binarization import bernoulli_entropy, draw_evaluation_sets
from vae_search.data.comparability import comparability_key, keys_judged_alike
from vae_search.data.dataset import Dataset, load_dataset, split_dataset
from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.sources import Source, read_source
from vae_search.data.splits import Protocol, Split, split_images
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.sections import DataSpec


def digits(tmp_path, **fields) -> Dataset:
    return load_dataset(DataSpec(source="digits", **fields), cache=tmp_path)


@pytest.fixture(scope="module")
def fashion(fashion_mnist_path, tmp_path_factory) -> Dataset:
    return load_dataset(DataSpec(source=str(fashion_mnist_path)), cache=tmp_path_factory.mktemp("cache"))


def split(count: int, *, own_test: int | None, protocol: Protocol | None, validation: float | None = None) -> Split:
    return split_images(count, own_test=own_test, protocol=protocol, validation=validation, test=None, where="here")


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("own_test", [50, None])
def test_splits_are_disjoint_and_complete(in_order, own_test):
    protocol = Protocol(validation=10, test=None if own_test else 100) if in_order else None

    splits = split(1000, own_test=own_test, protocol=protocol, validation=0.2)

    parts = [splits.train, splits.select, splits.judge] + ([] if splits.test is None else [splits.test])
    together = np.concatenate(parts)
    assert sorted(together) == list(range(1000))
    assert (list(together) == list(range(1000))) == in_order
    assert len(splits.select) == len(splits.judge) == 100
    assert (splits.test is None) == (own_test is not None)


def test_the_default_sets_one_sixth_aside_twice():
    splits = split(600, own_test=None, protocol=None)

    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [400, 100, 100]


def test_the_digits_protocol(tmp_path):
    dataset = digits(tmp_path)

    assert [len(part) for part in (dataset.train, dataset.select, dataset.judge, dataset.test)] == [1200, 150, 150, 297]
    assert set(np.unique(dataset.select)) == {0, 1}
    assert dataset.train.max() == 16


def test_the_protocol_draws_validation_first_then_test_with_seed_777():
    validation = np.linspace(0, 1, 5 * 16).reshape(5, 4, 4, 1).astype(np.float32)
    test = validation[::-1].copy()
    np.random.seed(777)  # noqa: NPY002 - the published protocol's own words
    expected = [np.random.binomial(1, part) for part in (validation, test)]  # noqa: NPY002

    drawn = draw_evaluation_sets(*(Images(pixels=part, scale=1.0) for part in (validation, test)))

    for found, wanted in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_threshold_makes_every_split_black_and_white_with_a_floor_of_zero(tmp_path):
    dataset = digits(tmp_path, binarize="threshold")

    assert set(np.unique(dataset.train)) == {0, 1}
    assert dataset.scale == 1.0
    assert dataset.floor == 0.0


def test_pixels_that_are_not_binarised_stay_what_they_are(tmp_path):
    images = np.random.default_rng(2).integers(0, 256, (200, 5, 6, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x_train=images, x_test=images[:40])

    dataset = load_dataset(DataSpec(source=str(tmp_path / "a.npz"), binarize="none"), cache=tmp_path)

    parts = [dataset.train, dataset.select, dataset.judge]
    assert {part.dtype for part in parts} == {np.dtype(np.uint8)}
    assert sorted(image.tobytes() for part in parts for image in part) == sorted(image.tobytes() for image in images)
    np.testing.assert_array_equal(dataset.test, images[:40])
    assert (dataset.scale, dataset.pixels.levels, dataset.floor) == (255.0, 256, 0.0)
    np.testing.assert_allclose(dataset.pixels.mean, dataset.train.mean(axis=0) / 255, rtol=1e-6)
    np.testing.assert_allclose(dataset.pixels.variance, (dataset.train / 255.0).var(axis=0), rtol=1e-5)
    pooled = dataset.pixels.pooled
    np.testing.assert_allclose(pooled.mean.ravel(), dataset.train.mean(axis=(0, 1, 2)) / 255, rtol=1e-6)
    np.testing.assert_allclose(pooled.variance.ravel(), (dataset.train / 255.0).var(axis=(0, 1, 2)), rtol=1e-5)


def test_how_often_a_pixel_has_an_outer_level_counts_half_an_image_more():
    images = np.zeros((3, 4, 4, 1), np.uint8)
    images[0, 0, 0], images[:2, 1, 1] = 16, 7

    found = PixelStatistics.of(Images(pixels=images, scale=16.0), levels=17)

    assert found.lowest[:2, :2, 0].ravel() == pytest.approx([2.5 / 4, 3.5 / 4, 3.5 / 4, 1.5 / 4])
    assert found.highest[:2, :2, 0].ravel() == pytest.approx([1.5 / 4, 0.5 / 4, 0.5 / 4, 0.5 / 4])


def test_digits_have_seventeen_levels_of_grey(tmp_path):
    dataset = digits(tmp_path, binarize="none")

    assert dataset.pixels.levels == 17
    assert dataset.select.max() == 16


def test_the_floor_is_the_entropy_of_the_coin_tosses():
    half = Images(pixels=np.full((3, 2, 2, 1), 0.5, np.float32), scale=1.0)
    black = Images(pixels=np.array([0, 255], np.uint8).reshape(1, 1, 2, 1), scale=255.0)

    assert bernoulli_entropy(half) == pytest.approx([4 * np.log(2)] * 3)
    assert bernoulli_entropy(black) == [0.0]


def test_the_fingerprint_and_the_key_follow_the_images_and_the_task(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (200, 5, 5)).astype(np.uint8)
    np.save(tmp_path / "a.npy", images)
    images[0, 0, 0] ^= 1
    np.save(tmp_path / "b.npy", images)

    a, b = (load_dataset(DataSpec(source=str(tmp_path / name)), cache=tmp_path) for name in ("a.npy", "b.npy"))
    again = load_dataset(DataSpec(source=str(tmp_path / "a.npy")), cache=tmp_path)
    other = load_dataset(DataSpec(source=str(tmp_path / "a.npy"), binarize="threshold"), cache=tmp_path)
    keys = {comparability_key(dataset, likelihood="bernoulli") for dataset in (a, b, other)}

    assert a.fingerprint == again.fingerprint == other.fingerprint != b.fingerprint
    assert len(keys) == 3
    assert comparability_key(again, likelihood="bernoulli") in keys
    assert comparability_key(a, likelihood="gaussian") not in keys


@pytest.mark.parametrize("same_order", [True, False])
def test_values_compare_only_if_the_same_images_were_held_out(tmp_path, same_order):
    """Invariant I7: equal images and equal counts are not enough."""
    images = read_source("digits", cache=tmp_path).train
    np.save(tmp_path / "digits.npy", images.pixels[..., 0] / images.scale)
    np.savez(tmp_path / "digits.npz", x_train=images.pixels[..., 0] / images.scale)
    # The name has a protocol, which keeps the images in their order; a file has none, and its images are permuted.
    sources = [str(tmp_path / "digits.npz") if same_order else "digits", str(tmp_path / "digits.npy")]

    a, b = (load_dataset(DataSpec(source=s, validation=300, test=297), cache=tmp_path) for s in sources)

    assert a.fingerprint == b.fingerprint
    assert a.select.shape == b.select.shape
    assert np.array_equal(a.select, b.select) == same_order
    keys = [comparability_key(dataset, likelihood="bernoulli") for dataset in (a, b)]
    assert (keys[0] == keys[1]) == same_order


def test_an_idx_folder_and_an_npz_of_the_same_images_are_one_task_exactly_if_they_are_split_alike(tmp_path):
    write_idx(tmp_path / "idx", grey(200), grey(50))
    np.savez(tmp_path / "a.npz", x_train=grey(200), x_test=grey(50))

    idx, npz = (load_dataset(DataSpec(source=str(tmp_path / s)), cache=tmp_path) for s in ("idx", "a.npz"))

    assert idx.fingerprint == npz.fingerprint
    is_one_task = comparability_key(idx, likelihood="bernoulli") == comparability_key(npz, likelihood="bernoulli")
    assert is_one_task == np.array_equal(idx.select, npz.select)


@pytest.mark.parametrize("source", ["a.npy", "a.npz"])
@pytest.mark.parametrize("binarize", ["dynamic", "threshold"])
def test_a_search_gets_neither_judge_nor_test_images(tmp_path, source, binarize):
    np.save(tmp_path / "a.npy", grey(200))
    np.savez(tmp_path / "a.npz", x_train=grey(250)[:200], x_test=grey(250)[200:])
    dataset = load_dataset(DataSpec(source=str(tmp_path / source), binarize=binarize), cache=tmp_path)

    task = TrainingTask.of(dataset)

    travels = pickle.dumps(task)
    held = {image.tobytes() for images in (task.train, task.select) for image in images}
    assert task.train.tobytes() in travels
    assert task.select.tobytes() in travels
    for hidden in (dataset.judge, dataset.test):
        assert len(hidden) > 0
        assert not any(np.shares_memory(getattr(task, name), hidden) for name in ("train", "select"))
        assert not any(image.tobytes() in held or image.tobytes() in travels for image in hidden)


@pytest.mark.parametrize("source", ["a.npy", "a.npz"])
def test_a_confirm_run_is_judged_on_the_judge_images_and_gets_no_test_image(tmp_path, source):
    np.save(tmp_path / "a.npy", grey(200))
    np.savez(tmp_path / "a.npz", x_train=grey(250)[:200], x_test=grey(250)[200:])
    dataset = load_dataset(DataSpec(source=str(tmp_path / source)), cache=tmp_path)

    task = JudgeTask.of(dataset)

    np.testing.assert_array_equal(task.images, dataset.judge)
    assert task.pixels is dataset.pixels
    travels = pickle.dumps(task)
    assert not any(image.tobytes() in travels for image in dataset.test)


@pytest.mark.fashion
def test_fashion_mnist_has_its_protocols_splits(fashion):
    sizes = [len(part) for part in (fashion.train, fashion.select, fashion.judge, fashion.test)]

    assert sizes == [50_000, 5_000, 5_000, 10_000]
    assert fashion.image_shape == (28, 28, 1)


@pytest.mark.fashion
def test_fashion_mnist_has_its_known_floor_and_latent_free_baseline(fashion, fashion_mnist_path, tmp_path):
    # notes of the design: 189.86 nats of binarisation noise, 385.02 nats for a factorised Bernoulli, on test images.
    test = read_source(str(fashion_mnist_path), cache=tmp_path).test
    mean = np.clip(fashion.pixels.mean.astype(np.float64), 1e-6, 1 - 1e-6)
    grey = test.pixels / 255.0
    baseline = -np.mean(np.sum(grey * np.log(mean) + (1 - grey) * np.log(1 - mean), axis=(1, 2, 3)))

    assert bernoulli_entropy(test).mean() == pytest.approx(189.86, abs=0.01)
    assert baseline == pytest.approx(385.02, abs=0.02)


def test_the_keys_of_older_metrics_are_those_that_older_sweeps_have():
    record = json.loads((ROOT / "tests/fixtures/store_f001553/store/sweeps/before/resolved.json").read_text())
    dataset = load_dataset(DataSpec(source="digits"), cache=Path("none"))

    assert keys_judged_alike(dataset, likelihood="bernoulli") == (record["comparability_key"],)
    assert comparability_key(dataset, likelihood="bernoulli") != record["comparability_key"]


@pytest.mark.parametrize(("validation", "moved"), [(40, False), (None, False), (48, True)])
def test_another_number_of_validation_images_moves_the_draw_of_published_test_images(validation, moved):
    grey_images = Images(pixels=np.full((120, 4, 4, 1), 128, np.uint8), scale=255.0)
    protocol = Protocol(validation=40)
    found = split_dataset(
        Source(name="mnist", train=grey_images, test=grey_images, protocol=protocol),
        DataSpec(source="mnist", validation=validation),
    )
    usual = split_dataset(
        Source(name="mnist", train=grey_images, test=grey_images, protocol=protocol), DataSpec(source="mnist")
    )

    assert found.moved_draw is moved
    assert (found.test != usual.test).any() == moved
