import numpy as np
import pytest

from vae_search.data.binarize import draw_once, entropy_floor, protocol_stream
from vae_search.data.checks import Images
from vae_search.data.dataset import Dataset, comparability_key, load_dataset
from vae_search.data.splits import split
from vae_search.data.task import TrainingTask
from vae_search.spec import DataSpec


def digits(tmp_path, **fields) -> Dataset:
    return load_dataset(DataSpec(source="digits", **fields), cache=tmp_path)


@pytest.fixture(scope="module")
def fashion(fashion_mnist_path, tmp_path_factory) -> Dataset:
    return load_dataset(DataSpec(source=str(fashion_mnist_path)), cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("has_own_test", [True, False])
def test_splits_are_disjoint_and_complete(in_order, has_own_test):
    splits = split(1000, validation=0.2, test=None, has_own_test=has_own_test, in_order=in_order, where="here")

    parts = [splits.train, splits.select, splits.judge] + ([] if splits.test is None else [splits.test])
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert len(splits.select) == len(splits.judge) == 100
    assert (splits.test is None) == has_own_test


def test_the_default_sets_one_sixth_aside_twice():
    splits = split(600, validation=None, test=None, has_own_test=False, in_order=False, where="here")

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

    stream = protocol_stream()
    drawn = [draw_once(Images(pixels=part, scale=1.0), stream) for part in (validation, test)]

    for found, wanted in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_threshold_makes_every_split_black_and_white_with_a_floor_of_zero(tmp_path):
    dataset = digits(tmp_path, binarize="threshold")

    assert set(np.unique(dataset.train)) == {0, 1}
    assert dataset.scale == 1.0
    assert dataset.floor == 0.0


def test_the_floor_is_the_entropy_of_the_coin_tosses():
    half = Images(pixels=np.full((3, 2, 2, 1), 0.5, np.float32), scale=1.0)
    black = Images(pixels=np.array([0, 255], np.uint8).reshape(1, 1, 2, 1), scale=255.0)

    assert entropy_floor(half) == pytest.approx(4 * np.log(2))
    assert entropy_floor(black) == 0.0


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


def test_a_search_gets_neither_judge_nor_test_images(tmp_path):
    task = TrainingTask.of(digits(tmp_path))

    held = {id(value) for value in (getattr(task, name) for name in task.__dataclass_fields__)}
    dataset = digits(tmp_path)
    assert id(dataset.judge) not in held
    assert {name for name in task.__dataclass_fields__ if "judge" in name or "test" in name} == set()


@pytest.mark.fashion
def test_fashion_mnist_has_its_protocols_splits(fashion):
    sizes = [len(part) for part in (fashion.train, fashion.select, fashion.judge, fashion.test)]

    assert sizes == [50_000, 5_000, 5_000, 10_000]
    assert fashion.image_shape == (28, 28, 1)


@pytest.mark.fashion
def test_fashion_mnist_has_its_known_floor_and_latent_free_baseline(fashion, fashion_mnist_path, tmp_path):
    # notes of the design: 189.86 nats of binarisation noise, 385.03 nats for a factorised Bernoulli, on test images.
    from vae_search.data.sources import read_source

    test = read_source(str(fashion_mnist_path), cache=tmp_path).test
    mean = np.clip(fashion.train_mean.astype(np.float64), 1e-6, 1 - 1e-6)
    grey = test.pixels / 255.0
    baseline = -np.mean(np.sum(grey * np.log(mean) + (1 - grey) * np.log(1 - mean), axis=(1, 2, 3)))

    assert entropy_floor(test) == pytest.approx(189.86, abs=0.01)
    assert baseline == pytest.approx(385.03, abs=0.3)
