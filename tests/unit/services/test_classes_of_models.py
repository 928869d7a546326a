"""Classes of a conditional model by name: what is asked to be sampled, and images in class folders that are scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.networks import binary, description, statistics, weights
from tests.support.published_models import publish
from vae_search.core.dataset_summary import Classes
from vae_search.data.tasks import JudgeTask
from vae_search.errors import BadData, InvalidSpec
from vae_search.services.checks import evaluation
from vae_search.services.models import galleries
from vae_search.store.backends.base import Store
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE
from vae_search.vae.inference.scoring import judge
from vae_search.vae.inference.weights_file import weights_file

pytestmark = pytest.mark.needs_tensorflow

CLASSES = Classes(counts=(9, 5, 7), names=("cat", "cow", "dog"))
DESCRIBED = replace(
    description(), network=replace(description().network, classes=len(CLASSES.counts)), known_classes=CLASSES
)


@pytest.fixture(scope="module")
def model() -> VaeModel:
    """A model that nobody trained."""
    return VaeModel(DESCRIBED, weights(DESCRIBED))


@pytest.fixture
def published(store: Store, model: VaeModel) -> Store:
    files = {CONFIG_FILE: DESCRIBED.to_json(), WEIGHTS_FILE: weights_file(weights(DESCRIBED))}
    overrides = ["data.condition=label", "data.binarize=threshold"]
    assert publish(store, "first", model="pets", files=files, overrides=overrides) == "promoted"
    return store


def pictures(folder: Path, images: np.ndarray, names: list[str]) -> Path:
    for position, (image, name) in enumerate(zip(images, names, strict=True)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * image[..., 0]).save(folder / name / f"{position:02}.png")
    return folder


def test_images_in_class_folders_are_scored_given_the_models_class_of_that_name(published, model, tmp_path):
    images = binary(12)
    folder = pictures(tmp_path / "new", images, ["cow"] * 6 + ["dog"] * 6)  # no cat: folders count cow as 0

    found = evaluation.evaluate(published, "pets", source=str(folder), cache=tmp_path)

    task = JudgeTask(images=images, pixels=statistics(DESCRIBED), labels=np.repeat([1, 2], 6))
    expected = judge(model.trained, DESCRIBED, task, iwae_samples=1)
    assert found.images == 12
    assert found.conditional
    assert found.neg_elbo == pytest.approx(expected.neg_elbo.mean())


def test_images_of_another_class_and_images_without_labels_are_refused(published, tmp_path):
    others = pictures(tmp_path / "others", binary(8), ["dog"] * 4 + ["dogs"] * 4)
    flat = pictures(tmp_path / "flat", binary(8), [""] * 8)

    with pytest.raises(BadData, match=r"but these are not: dogs\.\nDid you mean dog\?"):
        evaluation.evaluate(published, "pets", source=str(others), cache=tmp_path)
    with pytest.raises(BadData, match="the model sees the label of each image, but these have none"):
        evaluation.evaluate(published, "pets", source=str(flat), cache=tmp_path)


def test_samples_of_a_class_are_asked_for_by_its_name_or_number(published, model, tmp_path):
    by_name, by_number = (
        galleries.sample(published, "pets", count=4, seed=2, output=tmp_path / f"{given}.png", of_class=given)
        for given in ("dog", "2")
    )
    of_all = galleries.sample(published, "pets", count=6, seed=2, output=tmp_path / "all.png")

    assert by_name.path.read_bytes() == by_number.path.read_bytes()
    assert by_name.rows == ()
    assert of_all.rows == ("cat", "cow", "dog")
    for given, said in (("dgo", "has no class 'dgo'. Did you mean dog?"), ("7", "Its classes are cat, cow, dog.")):
        with pytest.raises(InvalidSpec) as refused:
            galleries.sample(published, "pets", count=1, seed=2, output=tmp_path / "no.png", of_class=given)
        assert said in str(refused.value)
