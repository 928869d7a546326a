"""Sample quality: the Fréchet distance, density and coverage between sets of features.

Likelihood and sample quality are not interchangeable (Theis et al. 2016): models are selected on nats, and these
numbers only keep one from being promoted whose samples have become worse. A distance means something only beside others
in the same feature space, whose id is part of the metric's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.vae.inference.feature_space import FeatureSpace

NEIGHBOURS = 5  # as Naeem et al. 2020 take it
BOOTSTRAP_REPEATS = 50
BOOTSTRAP_SEED = 779
BLOCK_ROWS = 500  # of a matrix of distances


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleQuality:
    """Sample quality of as many drawn images as there are held-out ones.

    Args:
        metric: `frechet_<feature space>`; distances of different names have nothing to do with each other.
        frechet: the distance between drawn and held-out images; 0 is best.
        frechet_se: its standard error over draws from the model; the held-out images are the same for every model.
        frechet_floor: the same distance between as many training images and the held-out ones: no model can be
            expected to go below.
        density: 1 where samples lie as densely among the held-out images as those do themselves; may exceed 1.
        coverage: share of the held-out images that have a sample nearby, in [0, 1].
    """

    metric: str
    frechet: float
    frechet_se: float
    frechet_floor: float
    density: float
    coverage: float


def sample_quality(space: FeatureSpace, drawn: np.ndarray, *, held_out: np.ndarray, train: PixelArray) -> SampleQuality:
    """Compare images that a model drew with held-out ones.

    Args:
        drawn, held_out, train: images as they are scored, each (n or more, height, width, channels) uint8; the first n
            of each count, n being the length of the shortest. The distance is biased upwards by some 1/n, so that sets
            of different length must not be compared.

    Raises:
        ValueError: There are fewer than two images, or too few for `NEIGHBOURS`.
    """
    count = min(len(drawn), len(held_out), len(train))
    if count <= NEIGHBOURS:
        raise ValueError(f"more than {NEIGHBOURS} images of each kind are needed, but there are {count}")
    ours, theirs, usual = (space.features(images[:count]) for images in (drawn, held_out, train))
    density, coverage = density_coverage(theirs, ours)
    return SampleQuality(
        metric=f"frechet_{space.name}",
        frechet=frechet_distance(ours, theirs),
        frechet_se=frechet_standard_error(ours, theirs),
        frechet_floor=frechet_distance(usual, theirs),
        density=density,
        coverage=coverage,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """Mean (d,) and covariance (d, d) of features."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, counts: np.ndarray | None = None) -> "Moments":
        """Moments of features (n, d), each taken `counts` times: (n,) whole numbers, once if None."""
        times = np.ones(len(features)) if counts is None else counts.astype(np.float64)
        mean = times @ features / times.sum()
        centred = features - mean
        return cls(mean=mean, covariance=(centred.T * times) @ centred / (times.sum() - 1))


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Fréchet distance of the two sets' Gaussian fits, as Heusel et al. 2017 use it: (n, d), (m, d) -> ≥ 0."""
    return gaussian_frechet(Moments.of(first), Moments.of(second))


def gaussian_frechet(first: Moments, second: Moments) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), the squared distance of two Gaussians (Dowson & Landau 1982).

    tr (C1 C2)^½ is taken as the sum of the roots of the eigenvalues of C1^½ C2 C1^½, which are the same and real.
    """
    values, vectors = np.linalg.eigh(first.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    common = np.linalg.eigvalsh(root @ second.covariance @ root)
    apart = np.sum((first.mean - second.mean) ** 2)
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.sqrt(np.maximum(common, 0.0)).sum()
    return max(0.0, float(apart + spread))


def frechet_standard_error(drawn: np.ndarray, reference: np.ndarray) -> float:
    """Standard error of `frechet_distance` over redraws of the first set: (n, d), (m, d) -> ≥ 0.

    By the bootstrap (Efron 1979) with fixed seed. The reference stays as it is: two models are compared with the same.
    """
    rng, fixed = np.random.default_rng(BOOTSTRAP_SEED), Moments.of(reference)
    distances = []
    for _ in range(BOOTSTRAP_REPEATS):
        counts = np.bincount(rng.integers(0, len(drawn), len(drawn)), minlength=len(drawn))
        distances.append(gaussian_frechet(Moments.of(drawn, counts), fixed))
    return float(np.std(distances, ddof=1))


def density_coverage(real: np.ndarray, drawn: np.ndarray, *, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, 3): real (n, d), drawn (m, d).

    Around each real point is a ball that reaches to its `neighbours`-th nearest real neighbour. Density is the mean
    number of balls that a drawn point lies in, divided by `neighbours`; coverage the share of balls that hold one.

    Raises:
        ValueError: There are not more real points than `neighbours`.
    """
    if len(real) <= neighbours:
        raise ValueError(f"`real points > {neighbours}` must hold, but got {len(real)}")
    inside, covered = 0, 0
    for rows in _blocks(len(real)):
        among_real = _squared_distances(real[rows], real)
        among_real[np.arange(len(rows)), rows] = np.inf  # no point is its own neighbour
        radius = np.partition(among_real, neighbours - 1, axis=1)[:, neighbours - 1]
        within = _squared_distances(real[rows], drawn) < radius[:, None]
        inside += int(within.sum())
        covered += int(within.any(axis=1).sum())
    return inside / (neighbours * len(drawn)), covered / len(real)


def _blocks(count: int) -> Iterator[np.ndarray]:
    for first in range(0, count, BLOCK_ROWS):
        yield np.arange(first, min(first + BLOCK_ROWS, count))


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, d), (m, d) -> (n, m), by |a|² + |b|² - 2ab, which needs no array of all differences."""
    centre = second.mean(axis=0)  # near the origin the three terms do not cancel
    a, b = first - centre, second - centre
    squared: np.ndarray = np.maximum(np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T, 0.0)
    return squared
