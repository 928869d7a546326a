"""Likelihoods against SciPy's densities, on grids of parameters and in the tails."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, optimize, stats
from sklearn.datasets import load_digits

from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics, intensities
from vae_search.vae.objective.likelihoods import LIKELIHOODS, likelihood_of

pytestmark = pytest.mark.needs_tensorflow

LOCATIONS = (-3.0, -0.2, 0.0, 0.1, 0.5, 0.731, 1.0, 1.4)
SCALES = (0.002, 0.02, 0.1, 0.5, 2.0)
GREY = ("gaussian", "discretized_logistic")


def costs_of_levels(name: str, levels: int, *, location: float, scale: float) -> np.ndarray:
    """-log P of each level under one output: (levels,)."""
    images = intensities(np.arange(levels), levels).reshape(levels, 1, 1, 1)
    output = np.tile(np.float32([location, np.log(scale)]), (levels, 1, 1, 1))
    return likelihood_of(name, levels).distortion(tf.constant(images), tf.constant(output)).numpy()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("levels", [17, 256])
def test_the_discretized_logistic_is_a_probability_and_scipys(levels, location, scale):
    edges = np.concatenate([[-np.inf], (np.arange(levels - 1) + 0.5) / (levels - 1), [np.inf]])
    low, high = likelihood_of("discretized_logistic", levels).limits
    logistic = stats.logistic(np.float32(location), np.exp(np.clip(np.log(scale), low, high)))
    # Each difference on the side where it does not cancel.
    expected = np.where(
        edges[1:] < location,
        logistic.cdf(edges[1:]) - logistic.cdf(edges[:-1]),
        logistic.sf(edges[:-1]) - logistic.sf(edges[1:]),
    )

    found = costs_of_levels("discretized_logistic", levels, location=location, scale=scale)

    visible = expected > 1e-250
    np.testing.assert_allclose(found[visible], -np.log(expected[visible]), rtol=2e-4, atol=2e-5)
    assert np.exp(-found.astype(np.float64)).sum() == pytest.approx(1.0, abs=2e-5)
    assert np.all(found >= 0)


@pytest.mark.parametrize("scale", [0.002, 0.02, 0.3])
@pytest.mark.parametrize("location", [-0.2, 0.0, 0.5, 1.4])
@pytest.mark.parametrize("levels", [17, 256])
def test_the_gaussian_is_scipys_density_averaged_over_the_dequantisation(levels, location, scale):
    low, high = likelihood_of("gaussian", levels).limits
    normal = stats.norm(np.float32(location), np.exp(np.clip(np.log(scale), low, high)))
    expected = [
        -levels * integrate.quad(normal.logpdf, level / levels, (level + 1) / levels)[0] + np.log(levels)
        for level in range(levels)
    ]

    found = costs_of_levels("gaussian", levels, location=location, scale=scale)

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    probabilities = [normal.cdf((level + 1) / levels) - normal.cdf(level / levels) for level in range(levels)]
    assert np.all(np.exp(-found.astype(np.float64)) <= np.array(probabilities) * (1 + 1e-4) + 1e-12)  # a lower bound
    assert np.all(found >= 0)


@pytest.mark.parametrize("name", GREY)
def test_values_and_gradients_are_finite_at_the_extremes(name):
    likelihood = likelihood_of(name, 256)
    corners = [
        (image, location, log_scale)
        for image in (0, 1, 128, 255)
        for location in (-1e4, 0, 1e4)
        for log_scale in (-80, -7, 0, 80)
    ]
    images = tf.constant(intensities(np.array([image for image, _, _ in corners]), 256).reshape(-1, 1, 1, 1))
    output = tf.Variable(np.float32([rest for _, *rest in corners]).reshape(-1, 1, 1, 2))

    with tf.GradientTape() as tape:
        costs = likelihood.distortion(images, output)
    gradient = tape.gradient(costs, output)

    assert np.isfinite(costs.numpy()).all()
    assert np.isfinite(gradient.numpy()).all()
    for pictured in (likelihood.mean(output), likelihood.parameters(output)["scale"]):
        assert np.isfinite(pictured.numpy()).all()


@pytest.mark.parametrize("name", GREY)
def test_gradients_agree_with_finite_differences(name):
    likelihood = likelihood_of(name, 256)
    rng = np.random.default_rng(2)
    images = tf.constant(intensities(rng.integers(0, 256, (40, 2, 2, 3)), 256))
    output = np.concatenate([rng.uniform(-0.2, 1.2, (40, 2, 2, 3)), rng.uniform(-2.5, 0.5, (40, 2, 2, 3))], axis=-1)
    direction = tf.constant(rng.normal(size=output.shape), tf.float32)
    variable = tf.Variable(output, dtype=tf.float32)

    with tf.GradientTape() as tape:
        cost = tf.reduce_sum(likelihood.distortion(images, variable))
    slope = tf.reduce_sum(tape.gradient(cost, variable) * direction)

    step = 1e-3
    above, below = (
        np.sum(
            likelihood.distortion(images, tf.constant(output, tf.float32) + sign * step * direction).numpy(),
            dtype=np.float64,
        )
        for sign in (1, -1)
    )
    assert (above - below) / (2 * step) == pytest.approx(float(slope), rel=5e-3)


@pytest.mark.parametrize("name", GREY)
def test_scales_beyond_their_limits_are_counted(name):
    likelihood = likelihood_of(name, 256)
    low, high = likelihood.limits
    log_scales = np.float32([low - 1, low + 0.1, high - 0.1, high + 1, high + 2]).reshape(5, 1, 1, 1)
    output = np.concatenate([np.zeros_like(log_scales), log_scales], axis=-1)

    assert float(likelihood.clamped_share(tf.constant(output))) == pytest.approx(3 / 5)


@pytest.mark.parametrize("location", [-0.3, 0.0, 0.4, 0.99])
@pytest.mark.parametrize("scale", [0.002, 0.05, 0.4])
@pytest.mark.parametrize("name", GREY)
def test_draws_follow_the_probabilities_of_the_levels(name, location, scale):
    levels, count = 17, 200_000
    likelihood = likelihood_of(name, levels)
    output = tf.constant(np.tile(np.float32([location, np.log(scale)]), (count, 1, 1, 1)))

    drawn = likelihood.draw(output, tf.constant([3, 4])).numpy()

    assert drawn.dtype == np.uint8
    shares = np.bincount(drawn.ravel(), minlength=levels) / count
    np.testing.assert_allclose(shares, probabilities(name, levels, location, scale), atol=5 * 0.5 / np.sqrt(count))


def probabilities(name: str, levels: int, location: float, scale: float) -> np.ndarray:
    if name == "discretized_logistic":
        return np.exp(-costs_of_levels(name, levels, location=location, scale=scale).astype(np.float64))
    low, high = likelihood_of(name, levels).limits
    edges = np.concatenate([[-np.inf], np.arange(1, levels) / levels, [np.inf]])
    return np.diff(stats.norm(location, np.exp(np.clip(np.log(scale), low, high))).cdf(edges))


@pytest.mark.parametrize("scale", [0.002, 0.05, 0.4])
@pytest.mark.parametrize("location", [-0.3, 0.0, 0.4, 0.99])
def test_the_mean_of_the_discretized_logistic_is_that_of_its_levels(location, scale):
    levels = 256
    chances = probabilities("discretized_logistic", levels, location, scale)
    output = tf.constant([[[[location, np.log(scale)]]]], tf.float32)

    mean = likelihood_of("discretized_logistic", levels).mean(output).numpy().item()

    assert mean == pytest.approx(chances @ np.arange(levels) / (levels - 1), abs=0.5 / (levels - 1))


def test_the_gaussians_parameters_are_those_of_the_intensity():
    levels = 17
    likelihood = likelihood_of("gaussian", levels)
    output = tf.constant([[[[0.4, np.log(0.05)]]]], tf.float32)
    count = 100_000

    drawn = intensities(likelihood.draw(tf.tile(output, [count, 1, 1, 1]), tf.constant([1, 2])).numpy(), levels)

    found = {name: value.numpy().item() for name, value in likelihood.parameters(output).items()}
    rounding = 1 / (12 * (levels - 1) ** 2)  # of a draw to the nearest level
    assert found["location"] == pytest.approx(drawn.mean(), abs=5 * drawn.std() / np.sqrt(count))
    assert found["scale"] ** 2 + rounding == pytest.approx(drawn.var(), rel=0.02)
    assert likelihood.mean(output).numpy().item() == pytest.approx(found["location"])


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_latent_free_output_fits_the_training_pixels_better_than_what_is_near(name):
    """Bell-shaped pixels: there the closed forms are the optimum of the mean cost, of the logistic's nearly."""
    levels = 2 if name == "bernoulli" else 256
    rng = np.random.default_rng(5)
    pixels = np.clip(rng.normal(100, 40, (500, 3, 2, 1)), 0, 255) if levels > 2 else rng.random((500, 3, 2, 1)) < 0.3
    images = Images(pixels=pixels.astype(np.uint8), scale=levels - 1.0)
    likelihood = likelihood_of(name, levels)
    seen = intensities(images.pixels, levels)

    output = likelihood.latent_free(PixelStatistics.of(images, levels=levels))

    def cost(of: np.ndarray) -> float:
        return float(likelihood.distortion(seen, of[None]).numpy().mean(dtype=np.float64))

    best = cost(output)
    for channel in range(output.shape[-1]):
        for change in (-0.3, 0.3):
            other = output.copy()
            other[..., channel] += change
            assert cost(other) > best


@pytest.mark.parametrize("flipped", [False, True])
def test_the_latent_free_logistic_is_near_scipys_maximum_of_the_likelihood_where_borders_are_dark(flipped):
    """Of scikit-learn's digits, whose border is black; and of their negatives, whose border is white."""
    grey = load_digits().images[..., None].astype(np.uint8)
    images = Images(pixels=16 - grey if flipped else grey, scale=16.0)
    likelihood = likelihood_of("discretized_logistic", 17)
    seen = intensities(images.pixels, 17)

    output = likelihood.latent_free(PixelStatistics.of(images, levels=17))

    best = 0.0
    for row, column in np.ndindex(8, 8):
        counts = np.bincount(images.pixels[:, row, column, 0], minlength=17)
        best += optimize.minimize(
            negative_log_likelihood, output[row, column], args=(counts,), method="Nelder-Mead"
        ).fun
    found = likelihood.distortion(seen, output[None]).numpy().mean(dtype=np.float64)
    assert best / len(grey) <= found < 1.02 * best / len(grey)


def negative_log_likelihood(parameters: np.ndarray, counts: np.ndarray) -> float:
    location, log_scale = parameters
    return float(counts @ costs_of_levels("discretized_logistic", 17, location=location, scale=np.exp(log_scale)))


def test_no_output_costs_a_gaussian_less_than_its_floor():
    likelihood = likelihood_of("gaussian", 256)
    middle = (100 + 0.5) / 256  # of a level, with that level's own deviation
    best = costs_of_levels("gaussian", 256, location=middle, scale=1 / (256 * np.sqrt(12)))[100]

    assert best == pytest.approx(likelihood.floor_per_value, abs=2e-5)
    for location in (middle - 1e-3, middle, middle + 1e-3):
        for scale in np.geomspace(1e-4, 1e-1, 30):
            assert (
                costs_of_levels("gaussian", 256, location=location, scale=scale)[100]
                > likelihood.floor_per_value - 2e-5
            )


def test_a_pixel_that_never_changed_costs_a_logistic_no_infinity_when_it_does():
    dark = Images(pixels=np.zeros((20, 4, 4, 1), np.uint8), scale=255.0)
    dark.pixels[:, :2] = np.arange(20, dtype=np.uint8)[:, None, None, None] * 12
    likelihood = likelihood_of("discretized_logistic", 256)
    output = likelihood.latent_free(PixelStatistics.of(dark, levels=256))
    lit = np.zeros((1, 4, 4, 1), np.float32)
    lit[0, 3, 3] = 1.0

    costs = [
        likelihood.distortion(tf.constant(image), output[None]).numpy().item() for image in (np.zeros_like(lit), lit)
    ]

    assert 10 < costs[1] - costs[0] < 100


def test_black_and_white_has_two_levels_and_a_likelihood_has_a_name():
    with pytest.raises(ValueError, match="2 levels, but got 256"):
        likelihood_of("bernoulli", 256)
    with pytest.raises(ValueError, match="must be one of bernoulli, gaussian, discretized_logistic"):
        likelihood_of("poisson", 256)
