"""Distances against closed forms and SciPy, density and coverage against the definition written out."""

import numpy as np
import pytest
from scipy import linalg
from scipy.spatial import distance

from vae_search.data.tasks import JudgeTask
from vae_search.vae.inference.feature_space import (
    FeatureSpace,
    classifier_features,
    feature_space_of,
    feature_train_images,
    principal_components,
)
from vae_search.vae.inference.sample_quality import (
    Moments,
    density_coverage,
    frechet_distance,
    frechet_standard_error,
    gaussian_frechet,
    sample_quality,
)

pytestmark = pytest.mark.needs_tensorflow


def covariance(dimensions: int, *, seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(dimensions, dimensions))
    return factor @ factor.T


def test_gaussians_with_diagonal_covariances_have_their_closed_form():
    first = Moments(mean=np.array([1.0, 2.0]), covariance=np.diag([4.0, 9.0]))
    second = Moments(mean=np.array([4.0, -2.0]), covariance=np.diag([1.0, 25.0]))

    assert gaussian_frechet(first, second) == pytest.approx(3**2 + 4**2 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_gaussians_with_any_covariances_have_scipys_distance():
    first = Moments(mean=np.zeros(6), covariance=covariance(6, seed=1))
    second = Moments(mean=np.arange(6.0), covariance=covariance(6, seed=2))
    root = linalg.sqrtm(first.covariance @ second.covariance).real
    expected = 55.0 + np.trace(first.covariance + second.covariance - 2 * root)

    assert gaussian_frechet(first, second) == pytest.approx(expected)
    assert gaussian_frechet(second, first) == pytest.approx(expected)


def test_a_covariance_without_full_rank_is_no_obstacle():
    flat = np.zeros((4, 4))
    flat[0, 0] = 9.0

    assert gaussian_frechet(
        Moments(mean=np.zeros(4), covariance=flat), Moments(mean=np.zeros(4), covariance=np.eye(4))
    ) == pytest.approx(9 + 4 - 2 * 3)


def test_a_set_is_at_no_distance_from_itself_and_from_itself_in_another_order():
    features = np.random.default_rng(3).normal(5, 2, (200, 8))

    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_moments_are_numpys_and_counts_are_repetitions():
    features = np.random.default_rng(4).normal(size=(50, 3))
    counts = np.random.default_rng(5).integers(0, 4, 50)

    weighted = Moments.of(features, counts)

    repeated = np.repeat(features, counts, axis=0)
    np.testing.assert_allclose(weighted.mean, repeated.mean(axis=0))
    np.testing.assert_allclose(weighted.covariance, np.cov(repeated.T))
    np.testing.assert_allclose(Moments.of(features).covariance, np.cov(features.T))


def test_the_standard_error_is_the_spread_over_fresh_draws():
    rng = np.random.default_rng(6)
    reference = rng.normal(size=(2000, 4))
    distances = [frechet_distance(rng.normal(0.5, 1.5, (400, 4)), reference) for _ in range(300)]

    estimates = [frechet_standard_error(rng.normal(0.5, 1.5, (400, 4)), reference) for _ in range(10)]

    assert np.mean(estimates) == pytest.approx(np.std(distances), rel=0.15)


def written_out(real: np.ndarray, drawn: np.ndarray, neighbours: int) -> tuple[float, float]:
    """Density and coverage, sum by sum."""
    radii = [
        sorted(distance.euclidean(x, y) for y in np.delete(real, i, 0))[neighbours - 1] for i, x in enumerate(real)
    ]
    inside = [[distance.euclidean(x, y) < radius for y in drawn] for x, radius in zip(real, radii, strict=True)]
    return float(np.sum(inside)) / (neighbours * len(drawn)), float(np.mean(np.any(inside, axis=1)))


@pytest.mark.parametrize(("shift", "neighbours"), [(0.0, 5), (1.0, 5), (1.0, 1), (3.0, 3)])
def test_density_and_coverage_are_what_their_definition_says(shift, neighbours):
    rng = np.random.default_rng(7)
    real, drawn = 1e3 + rng.normal(size=(70, 3)), 1e3 + shift + rng.normal(size=(45, 3))

    assert density_coverage(real, drawn, neighbours=neighbours) == pytest.approx(written_out(real, drawn, neighbours))


def test_density_and_coverage_of_points_on_a_line_can_be_counted():
    real = np.array([[0.0], [1.0], [3.0], [10.0]])  # to the nearest other: 1, 1, 2, 7
    drawn = np.array([[0.5], [2.5]])  # in the balls of 0 and 1; in that of 3 only, as 10's ends at 3

    assert density_coverage(real, drawn, neighbours=1) == (3 / 2, 3 / 4)


def test_more_blocks_than_one_count_the_same(monkeypatch):
    rng = np.random.default_rng(8)
    real, drawn = rng.normal(size=(130, 4)), rng.normal(size=(90, 4))
    whole = density_coverage(real, drawn)

    monkeypatch.setattr("vae_search.vae.inference.sample_quality.BLOCK_ROWS", 7)

    assert density_coverage(real, drawn) == whole


@pytest.fixture(scope="module")
def digits(task) -> tuple[np.ndarray, np.ndarray]:
    """The training digits binarised once, and their labels."""
    from sklearn.datasets import load_digits

    draws = np.random.default_rng(9).random(task.train.shape)
    return (draws * task.scale < task.train).astype(np.uint8), load_digits().target[: len(task.train)]


@pytest.fixture(scope="module", params=["classifier", "pca"])
def space(request, digits) -> FeatureSpace:
    train, labels = digits
    return space_of(train, labels if request.param == "classifier" else None)


def space_of(train: np.ndarray, labels: np.ndarray | None) -> FeatureSpace:
    if labels is None:
        return principal_components(train, levels=2)
    return classifier_features(train, labels, levels=2)


def noised(images: np.ndarray, share: float) -> np.ndarray:
    flips = np.random.default_rng(10).random(images.shape) < share
    return images ^ flips.astype(np.uint8)


def test_the_more_noise_the_farther_away_and_a_collapsed_generator_is_farthest(space, digits, task):
    train, _ = digits
    other, fresh = train[:500], train[500:1000]
    found = [
        sample_quality(space, drawn, held_out=task.select[:500], train=other)
        for drawn in (fresh, noised(fresh, 0.05), noised(fresh, 0.2), np.repeat(fresh[:1], 500, axis=0))
    ]

    distances = [quality.frechet for quality in found]
    assert distances == sorted(distances)
    assert distances[1] > distances[0] + 2 * found[0].frechet_se
    assert distances[3] > 2 * distances[2]
    assert distances[0] < 2 * found[0].frechet_floor
    coverages = [quality.coverage for quality in found]
    assert coverages == sorted(coverages, reverse=True)
    assert coverages[3] < 0.05
    assert found[0].density > found[1].density > found[2].density


def test_the_space_is_part_of_the_metrics_name_and_the_same_images_give_the_same_space(digits, space, task):
    train, labels = digits
    given = labels if space.accuracy is not None else None
    again = space_of(train, given)
    other = space_of(train[:-9], None if given is None else given[:-9])

    assert again.name == space.name
    assert other.name != space.name
    np.testing.assert_array_equal(again.features(task.select[:50]), space.features(task.select[:50]))
    assert sample_quality(space, train, held_out=task.select, train=train).metric == f"frechet_{space.name}"


def test_a_task_with_labels_is_seen_through_a_classifier_and_one_without_through_components(digits, task):
    plain = JudgeTask(images=task.select, pixels=task.pixels)
    labelled = JudgeTask(images=task.select, pixels=task.pixels, train_labels=digits[1])

    without, with_labels = feature_space_of(task, plain), feature_space_of(task, labelled)

    assert without.name == principal_components(feature_train_images(task), levels=2).name
    assert with_labels.name == classifier_features(feature_train_images(task), digits[1], levels=2).name
    assert set(np.unique(feature_train_images(task))) == {0, 1}


def test_the_classifier_has_learned_its_labels(digits):
    assert classifier_features(*digits, levels=2).accuracy > 0.6


def test_principal_components_are_scikit_learns(digits, task):
    from sklearn.decomposition import PCA

    reference = PCA(n_components=20, svd_solver="full").fit(digits[0].reshape(len(digits[0]), -1))
    expected = reference.transform(task.select.reshape(len(task.select), -1))

    found = principal_components(digits[0], levels=2).features(task.select)[:, :20]

    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)


def test_components_of_few_large_images_span_their_differences():
    images = np.random.default_rng(11).integers(0, 2, (30, 16, 16, 1)).astype(np.uint8)

    features = principal_components(images, levels=2).features(images)

    assert features.shape == (30, 29)
    np.testing.assert_allclose(
        distance.pdist(features), distance.pdist(images.reshape(30, -1).astype(np.float64)), rtol=1e-4
    )


@pytest.mark.parametrize("labels", [np.zeros(40, np.int64), np.arange(39)])
def test_labels_that_teach_nothing_are_refused(labels):
    with pytest.raises(ValueError, match="label"):
        classifier_features(np.zeros((40, 8, 8, 1), np.uint8), labels, levels=2)


def test_too_few_images_are_refused(space, digits):
    with pytest.raises(ValueError, match="there are 5"):
        sample_quality(space, digits[0][:5], held_out=digits[0], train=digits[0])
