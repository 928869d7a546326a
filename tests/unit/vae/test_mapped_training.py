"""Training and scoring on images that stay in files: the same bits as on images in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.networks import description, weights
from tests.unit.vae.test_trainer import train, without_clocks
from vae_search.data import image_checks
from vae_search.data.dataset import load_dataset
from vae_search.data.random_access.mapped_images import MappedImages
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.inference.feature_space import feature_space_of
from vae_search.vae.inference.reload_check import score_in_fresh_process
from vae_search.vae.inference.reload_process import score_folder
from vae_search.vae.inference.saved_model import model_files
from vae_search.vae.inference.scoring import judge
from vae_search.vae.objective import evaluation
from vae_search.vae.objective.pixels import fixed_train
from vae_search.vae.training.graph import CHUNK_STEPS
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

CONFIG = Config(latent_dim=4, depth=1, width=12, batch_size=16)  # 33 steps an epoch: the last chunk is not full


def both_tasks(folder: Path, monkeypatch, binarize: str) -> list[tuple[TrainingTask, JudgeTask]]:
    """Tasks of 800 images in memory, and of the same ones in files, read in parts of a few images."""
    images = np.random.default_rng(2).integers(0, 256, (800, 7, 5)).astype(np.uint8)
    np.save(folder / "images.npy", images // 2 + images[:, :1, :1] // 2)
    spec = DataSpec.model_validate({"source": str(folder / "images.npy"), "binarize": binarize})
    tasks = []
    for most_bytes in (image_checks.MAX_BYTES, 1000):
        monkeypatch.setattr(image_checks, "MAX_BYTES", most_bytes)
        dataset = load_dataset(spec, cache=folder)
        tasks.append((TrainingTask.of(dataset), JudgeTask.of(dataset)))
    monkeypatch.setattr(evaluation, "BLOCK_BYTES", 1000)
    assert isinstance(tasks[1][0].train, MappedImages)
    return tasks


@pytest.fixture(params=["dynamic", "threshold", "none"])
def tasks(request, tmp_path, monkeypatch) -> list[tuple[TrainingTask, JudgeTask]]:
    return both_tasks(tmp_path, monkeypatch, request.param)


@pytest.fixture
def likelihood(tasks) -> str:
    return "bernoulli" if tasks[0][0].pixels.levels == 2 else "discretized_logistic"


def test_images_in_files_train_to_the_same_bits_and_go_on_to_them_after_a_kill(tasks, likelihood, plan):
    plan = replace(plan, likelihood=likelihood, iwae_epochs=frozenset([4]))
    in_memory, in_files, after_a_kill = (Trainer(task, threads=1) for task, _ in (*tasks, tasks[1]))
    expected = in_memory.start(CONFIG, plan, seed=5)
    train(expected, 4)

    whole = in_files.start(CONFIG, plan, seed=5)
    train(whole, 2)
    state, measurements = whole.state(), list(whole.measurements)
    train(whole, 2)
    continued = after_a_kill.start(CONFIG, plan, seed=5)
    continued.restore(state, measurements)
    train(continued, 2)

    for run in (whole, continued):
        assert [without_clocks(m) for m in run.measurements] == [without_clocks(m) for m in expected.measurements]
        assert run.scores() == expected.scores()
        for name, value in expected.state().items():
            np.testing.assert_array_equal(run.state()[name], value, err_msg=name)


def test_images_in_files_are_judged_to_the_same_bits(tasks, likelihood):
    (_, in_memory), (_, in_files) = tasks
    described = description(image_shape=(7, 5, 1), likelihood=likelihood)
    described = replace(described, levels=in_memory.pixels.levels)

    bounds = [judge(weights(described), described, task) for task in (in_memory, in_files)]

    for name in bounds[0].__dataclass_fields__:
        np.testing.assert_array_equal(getattr(bounds[0], name), getattr(bounds[1], name), err_msg=name)


@pytest.mark.exhaustive
def test_a_written_model_is_reloaded_and_scored_on_images_in_files_as_on_those_in_memory(tmp_path, monkeypatch):
    (_, in_memory), (_, in_files) = both_tasks(tmp_path, monkeypatch, "threshold")
    described = description(image_shape=(7, 5, 1))
    for name, content in model_files(described, weights(described)).items():
        (tmp_path / "version" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "version" / name).write_bytes(content)
    np.save(tmp_path / "judge.npy", in_memory.images)
    mapped = np.load(tmp_path / "judge.npy", mmap_mode="r")

    expected, found = (score_folder(tmp_path / "version", images) for images in (in_memory.images, mapped))
    in_a_process = score_in_fresh_process(model_files(described, weights(described)), in_files.images)

    assert found.neg_elbo == expected.neg_elbo == in_a_process.neg_elbo
    assert found.saved_model_difference == expected.saved_model_difference < 1e-3


def test_an_epoch_asks_for_the_images_of_a_few_steps_at_a_time(tmp_path, monkeypatch, plan):
    (_, _), (task, _) = both_tasks(tmp_path, monkeypatch, "threshold")
    asked, read = [], MappedImages.__getitem__
    run = Trainer(task, threads=1).start(CONFIG, plan, seed=5)
    monkeypatch.setattr(
        MappedImages, "__getitem__", lambda self, key: asked.append(len(read(self, key))) or read(self, key)
    )

    run.train_epoch()

    assert max(asked) == CHUNK_STEPS * CONFIG.batch_size
    assert sum(count for count in asked if count >= CONFIG.batch_size) >= len(task.train) // 16 * 16


def test_fixed_draws_of_training_images_in_files_are_those_of_images_in_memory(tmp_path, monkeypatch):
    (in_memory, _), (in_files, _) = both_tasks(tmp_path, monkeypatch, "dynamic")

    whole, drawn = (fixed_train(task, len(task.train), seed=3) for task in (in_memory, in_files))

    old = np.random.default_rng(3).random(in_memory.train.shape, np.float32) * in_memory.scale < in_memory.train
    np.testing.assert_array_equal(whole, old)
    assert (drawn.shape, drawn.dtype, len(drawn), drawn.nbytes) == (old.shape, np.uint8, len(old), old.nbytes)
    for key in (slice(0, 0), slice(None), slice(7, 12), slice(1, None, 3), np.asarray([9, 3, 3])):
        np.testing.assert_array_equal(drawn[key], old[key], err_msg=str(key))


@pytest.mark.parametrize("labels", [False, True])
def test_a_feature_space_of_images_in_files_is_that_of_images_in_memory(labels, tmp_path, monkeypatch):
    tasks = both_tasks(tmp_path, monkeypatch, "dynamic")
    numbers = np.arange(len(tasks[0][0].train)) % 2 if labels else None

    spaces = [feature_space_of(task, replace(judge, train_labels=numbers)) for task, judge in tasks]

    assert spaces[0].name == spaces[1].name
