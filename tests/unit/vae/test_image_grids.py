import io

import numpy as np
import pytest
from PIL import Image

from tests.support.networks import binary, description, weights
from vae_search.vae.inference.image_grids import grid_png, interpolations, reconstructions, sheet_png, traversals
from vae_search.vae.inference.model import USE_BATCH, VaeModel

pytestmark = pytest.mark.needs_tensorflow

SHAPE = (13, 7, 1)


@pytest.fixture(scope="module")
def model() -> VaeModel:
    described = description()
    return VaeModel(described, weights(described))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_each_image_in_its_row_and_column(channels):
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 60, 40, channels)) / 255.0

    shown = pixels(sheet_png(images)).reshape(2 * 62 + 2, 3 * 42 + 2, channels)

    for row, column in np.ndindex(2, 3):
        tile = shown[2 + 62 * row : 62 + 62 * row, 2 + 42 * column : 42 + 42 * column]
        np.testing.assert_array_equal(tile, np.rint(images[row, column] * 255))
    assert (shown[:2] == 255).all()


def test_a_grid_is_nearly_square_and_white_where_no_image_is():
    shown = pixels(grid_png(np.zeros((5, 60, 60, 1))))

    assert shown.shape == (2 * 62 + 2, 3 * 62 + 2)
    assert (shown[64:, 126:] == 255).all()
    assert (shown[2:62, 2:62] == 0).all()


def test_small_images_are_enlarged_without_being_smoothed():
    image = np.eye(8)[None, ..., None]

    assert np.array_equal(pixels(grid_png(image))[2:-2, 2:-2], 255 * np.eye(8).repeat(7, 0).repeat(7, 1))


def test_reconstructions_stand_below_their_originals(model):
    images = binary(5)

    sheet = reconstructions(model, images, columns=3)

    assert sheet.shape == (4, 3, *SHAPE)
    np.testing.assert_array_equal(sheet[0], images[:3])
    np.testing.assert_allclose(sheet[1], model.reconstruct(images[:3]), atol=1e-6)
    np.testing.assert_array_equal(sheet[2, :2], images[3:])
    assert (sheet[2:, 2] == 1.0).all()


def test_a_traversal_moves_one_latent_and_shows_the_most_active_first(model):
    images = binary(300)
    means, _ = model.encode(images)
    most_active, next_active = np.argsort(-means.var(axis=0))[:2]

    sheet = traversals(model, images, rows=2, columns=7)

    for row, latent in enumerate((most_active, next_active)):
        for column, value in enumerate((-3, -2, -1, 0, 1, 2, 3)):
            latents = means[:1].copy()
            latents[0, latent] = value
            np.testing.assert_allclose(sheet[row, column], model.decode(latents)[0], atol=1e-5)


def test_a_traversal_leaves_out_latents_that_are_not_active(model):
    described = description()
    arrays = weights(described)
    mean_kernel, mean_bias = list(arrays)[4:6]
    arrays[mean_kernel], arrays[mean_bias] = arrays[mean_kernel].copy(), arrays[mean_bias].copy()
    arrays[mean_kernel][:, 1:3] = 0.0

    assert traversals(model, binary(300), rows=9, columns=2).shape == (5, 2, *SHAPE)
    assert traversals(VaeModel(described, arrays), binary(300), rows=9, columns=2).shape == (3, 2, *SHAPE)
    arrays[mean_kernel][:] = 0.0
    assert traversals(VaeModel(described, arrays), binary(300), rows=9, columns=2).shape == (1, 2, *SHAPE)


def test_an_interpolation_goes_straight_from_one_reconstruction_to_the_other(model):
    pairs = binary(4).reshape(2, 2, *SHAPE)
    means, _ = model.encode(pairs[1])

    sheet = interpolations(model, pairs, columns=5)

    assert sheet.shape == (2, 5, *SHAPE)
    np.testing.assert_allclose(sheet[:, 0], model.reconstruct(pairs[:, 0]), atol=1e-6)
    np.testing.assert_allclose(sheet[:, 4], model.reconstruct(pairs[:, 1]), atol=1e-6)
    np.testing.assert_allclose(sheet[1, 1], model.decode(0.75 * means[:1] + 0.25 * means[1:])[0], atol=1e-6)


def test_many_images_are_the_same_as_few_at_a_time(model):
    images = binary(USE_BATCH + 5)

    mean, log_variance = model.encode(images)

    last_mean, last_log_variance = model.encode(images[-5:])
    np.testing.assert_allclose(mean[-5:], last_mean, atol=1e-6)
    np.testing.assert_allclose(log_variance[-5:], last_log_variance, atol=1e-6)
    assert model.decode(mean).shape == images.shape


def test_drawn_images_are_binary_and_have_the_means_probabilities(model):
    means, drawn = model.sample(3000, seed=5), model.draw(3000, seed=5)

    assert set(np.unique(drawn)) == {0, 1}
    error = np.sqrt(np.mean(means * (1 - means)) / means.size)
    assert abs(drawn.mean() - means.mean()) < 4 * error
    assert np.corrcoef(drawn.ravel(), means.ravel())[0, 1] > 0.3
