"""Latent units moved through the prior: order, places and pictures, against the model's own decoder."""

import numpy as np
import pytest

from tests.support.networks import binary, description, weights
from vae_search.vae.inference.latent_units import MOST_UNITS, VALUES, moved_units
from vae_search.vae.inference.model import VaeModel

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def model() -> VaeModel:
    described = description()
    return VaeModel(described, weights(described))


def test_units_stand_in_the_order_of_their_kl_from_the_prior(model):
    images = binary(200).astype(np.float32)

    found = moved_units(model, images)

    mean, log_variance = model.encode(images)
    closed_form = (0.5 * (mean.astype(np.float64) ** 2 + np.exp(log_variance) - 1 - log_variance)).mean(axis=0)
    assert [*found.kl_nats] == sorted(found.kl_nats, reverse=True)
    np.testing.assert_allclose(found.kl_nats, closed_form[[*found.units]], rtol=1e-4)
    assert found.active == (mean.var(axis=0) > 0.01).sum()


def test_a_picture_is_the_decoder_at_the_first_posterior_mean_with_one_unit_moved(model):
    images = binary(50).astype(np.float32)

    found = moved_units(model, images)

    latents = model.encode(images)[0][0]
    for row, unit in enumerate(found.units):
        moved = latents.copy()
        moved[unit] = found.values[2]
        np.testing.assert_allclose(found.images[row, 2], model.decode(moved[None])[0], atol=1e-5)
    assert found.values[0] == -3.0
    assert found.values[VALUES // 2] == 0.0


def test_without_images_the_units_that_change_most_come_first_around_the_prior_mean(model):
    found = moved_units(model, None)

    assert found.kl_nats is None
    assert sorted(found.units) == [*range(5)]
    assert [*found.change] == sorted(found.change, reverse=True)
    np.testing.assert_allclose(found.images[0, VALUES // 2], model.decode(np.zeros((1, 5), np.float32))[0], atol=1e-5)


def test_units_that_are_not_active_are_left_out_and_many_are_bounded():
    described = description(latent_dim=20)
    arrays = weights(described)

    assert len(moved_units(VaeModel(described, arrays), None).units) == MOST_UNITS

    silent = {name: array * (0 if name.startswith("encoder") else 1) for name, array in arrays.items()}
    assert len(moved_units(VaeModel(described, silent), binary(20).astype(np.float32)).units) == 1
