"""Sample quality as a promotion measures it: draws of binarised pixels, means of grey ones."""

import numpy as np
import pytest

from tests.support.networks import description, weights
from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.services.models.tensorflow_backend import COMPARED_SEED, TensorFlowBackend
from vae_search.spec.sections import DataSpec
from vae_search.vae.inference.feature_space import feature_space_of, feature_train_images
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.sample_quality import sample_quality
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE
from vae_search.vae.inference.weights_file import weights_file
from vae_search.vae.networks.model_config import ModelDescription

pytestmark = pytest.mark.needs_tensorflow


@pytest.mark.parametrize(
    ("binarize", "likelihood", "kind"),
    [("dynamic", "bernoulli", ""), ("none", "discretized_logistic", "_of_means")],
)
def test_grey_images_are_compared_by_means_and_binarised_ones_by_draws(tmp_path, binarize, likelihood, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (240, 8, 8), np.uint8)
    np.savez(tmp_path / "grey.npz", x_train=pixels)
    dataset = load_dataset(DataSpec(source=str(tmp_path / "grey.npz"), binarize=binarize), cache=tmp_path)
    described, files = made(dataset, likelihood)

    found = TensorFlowBackend(lambda: dataset).sample_quality(files)

    model, levels = VaeModel.from_version(files[CONFIG_FILE], files[WEIGHTS_FILE]), described.levels
    count = len(dataset.judge)
    images = {
        "": model.draw(count, seed=COMPARED_SEED),
        "_of_means": np.rint(model.sample(count, seed=COMPARED_SEED) * (levels - 1)).astype(np.uint8),
    }
    task = TrainingTask.of(dataset)
    expected = sample_quality(
        feature_space_of(task, JudgeTask.of(dataset)),
        images[kind],
        held_out=dataset.judge,
        train=feature_train_images(task),
    )
    assert found.metric == expected.metric + kind
    assert found.value == pytest.approx(expected.frechet)


def made(dataset: Dataset, likelihood: str) -> tuple[ModelDescription, dict[str, bytes]]:
    """A model that nobody trained, as the files of a version."""
    network = description(architecture="mlp", image_shape=(8, 8, 1), likelihood=likelihood).network
    described = ModelDescription(network=network, levels=dataset.pixels.levels, clamp=(-6.0, 2.0))
    return described, {CONFIG_FILE: described.to_json(), WEIGHTS_FILE: weights_file(weights(described))}
