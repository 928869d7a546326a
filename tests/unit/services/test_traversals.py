"""A traversal decoded in a child process, against the model itself."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support.networks import description, weights
from tests.support.published_models import publish
from vae_search.errors import CorruptStore, NotFound
from vae_search.services.models import champions
from vae_search.services.models.galleries import TRAVERSED_IMAGES, Subject, held_out
from vae_search.services.models.traversals import decoded, version_key
from vae_search.store.backends.local import LocalStore
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE
from vae_search.vae.inference.weights_file import weights_file

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    described = description(image_shape=(8, 8, 1))
    store = LocalStore(tmp_path_factory.mktemp("models"))
    files = {CONFIG_FILE: described.to_json(), WEIGHTS_FILE: weights_file(weights(described))}
    assert publish(store, "digits", files=files) == "promoted"
    return store


@pytest.mark.parametrize("with_images", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
def test_every_tile_of_the_sheet_is_what_the_champion_decodes_there(store, with_images, tmp_path):
    found = decoded(store.location, "digits", 1, with_images=with_images)

    loaded, facts = champions.load(store, "digits"), found.facts
    base = np.zeros(5, np.float32)
    if with_images:
        images = held_out(store, Subject(model=loaded.model, data=loaded.data), tmp_path, TRAVERSED_IMAGES)
        base = loaded.model.encode(images.images)[0][0]
    sheet = np.asarray(Image.open(io.BytesIO(found.sheet)))
    tall, wide, gap = facts["tile_height"], facts["tile_width"], facts["gap"]
    for row, unit in enumerate(facts["units"]):
        for column, value in enumerate(facts["values"]):
            latents = base.copy()
            latents[unit["unit"]] = value
            expected = np.rint(255 * loaded.model.decode(latents[None])[0, ..., 0]).astype(int)
            top, left = gap + row * (tall + gap), gap + column * (wide + gap)
            tile = sheet[top : top + tall : tall // 8, left : left + wide : wide // 8]
            assert np.abs(tile.astype(int) - expected).max() <= 1
    assert all((unit["kl_nats"] is None) != with_images for unit in facts["units"])


@pytest.mark.exhaustive
def test_files_that_cannot_be_loaded_are_told_in_a_line(store):
    publish(store, "other", model="broken")  # its files are made up

    with pytest.raises(CorruptStore, match="cannot be loaded"):
        decoded(store.location, "broken", 1, with_images=False)


def test_a_version_that_is_not_there_is_not_found(store):
    with pytest.raises(NotFound):
        version_key(store, "digits", 2)
