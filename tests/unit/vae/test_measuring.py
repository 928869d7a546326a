"""Metrics of a trained model: ours against other implementations, and what functions of others may do wrong."""

import numpy as np
import pytest
import tensorflow as tf

from vae_search.data.tasks import TrainingTask
from vae_search.errors import InvalidSpec
from vae_search.spec.hyperparameters import Config
from vae_search.spec.measures.metrics import Metric
from vae_search.spec.own_code import code_loading
from vae_search.vae.measuring.frechet import SAMPLES_SEED, frechet
from vae_search.vae.measuring.measuring import MetricsEngine
from vae_search.vae.measuring.model_view import MeasuredModel
from vae_search.vae.measuring.ssim import ssim
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec

pytestmark = pytest.mark.needs_tensorflow

MEASURES = """
import random
import numpy as np

def lucky(model, images, labels):
    return random.random() + np.random.random() + float(__import__("tensorflow").random.uniform([]))

def code(model, images, labels):
    return float(model.encode(images)[0].mean())

def spoils(model, images, labels):
    images[:] = 0
    return 1.0

def nowhere(model, images, labels):
    return float("nan")

def huge(model, images, labels):
    raise MemoryError

def words(model, images, labels):
    return "good"

def exits(model, images, labels):
    raise SystemExit(3)

def several(model, images, labels):
    return (1.0, 2.0)

def array(model, images, labels):
    return np.ones(3)

def imaginary(model, images, labels):
    return 1 + 2j

def answer(model, images, labels):
    return True

def nothing(model, images, labels):
    print("measured")

def two_arguments(model, images):
    return 1.0

def numpys(model, images, labels):
    return np.float32(0.5)

def whole(model, images, labels):
    return np.int64(3)

def of_no_axes(model, images, labels):
    return np.array(0.25)

def tensor(model, images, labels):
    return __import__("tensorflow").constant(2.0)

def spoils_weights(model, images, labels):
    for each in vars(model).values():
        for array in (each.values() if isinstance(each, dict) else [each]):
            if isinstance(array, np.ndarray):
                array[:] = 0
    return 1.0
"""


@pytest.fixture
def description(task: TrainingTask) -> ModelDescription:
    network = NetworkSpec.of(Config(latent_dim=4, width=16, depth=1), task.image_shape, likelihood="bernoulli")
    return ModelDescription(network=network, levels=task.pixels.levels, clamp=(-6.0, 2.0))


@pytest.fixture
def weights(description: ModelDescription) -> dict[str, np.ndarray]:
    network = build(description.network)
    arrays = initial_weights(network, seed=3, latent_free=np.zeros(description.network.image_shape, np.float32))
    return dict(zip(network.names, map(np.asarray, arrays), strict=True))


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A maker of the engine with some of the functions of MEASURES."""
    (tmp_path / "odd_measures.py").write_text(MEASURES)
    monkeypatch.setattr(code_loading, "_places", {tmp_path: True})
    monkeypatch.setattr(code_loading, "_provided", {})

    def engine(task: TrainingTask, *names: str) -> MetricsEngine:
        metrics = [Metric(name=name, function=name if name == "ssim" else f"odd_measures:{name}") for name in names]
        return MetricsEngine(metrics=metrics, task=task)

    return engine


@pytest.mark.parametrize(("shape", "window"), [((28, 28, 1), 11), ((32, 24, 3), 11), ((8, 8, 1), 7)])
def test_structural_similarity_is_that_of_tensorflow(shape, window):
    rng = np.random.default_rng(5)
    first = rng.random((4, *shape), np.float32)
    second = np.clip(first + rng.normal(0, 0.2, first.shape), 0, 1).astype(np.float32)

    expected = tf.image.ssim(first, second, max_val=1.0, filter_size=window).numpy()

    np.testing.assert_allclose(ssim(first, second), expected, atol=2e-5)
    np.testing.assert_allclose(ssim(first, first), 1.0)


def test_the_distance_of_a_models_own_samples_is_nothing_and_of_noise_much(task, description, weights):
    engine = MetricsEngine(metrics=(), task=task)
    model = MeasuredModel(description, weights, space=lambda: engine._space)
    drawn = model.draw(200, seed=SAMPLES_SEED).astype(np.float32)

    assert frechet(model, drawn, None) == pytest.approx(0, abs=1e-6)
    assert frechet(model, np.zeros_like(drawn), None) > 1


def test_equal_weights_get_equal_numbers_whatever_ran_before(own, task, description, weights):
    engine = own(task, "lucky", "code")
    first = engine.measure(weights, description, task.select)
    np.random.random(7)  # noqa: NPY002 - the stream that a function may use

    again = own(task, "code", "lucky").measure(weights, description, task.select)

    assert first.trouble is None
    assert dict(first.values) == dict(again.values)


def test_streams_of_others_go_on_as_if_nothing_had_been_measured(own, task, description, weights):
    np.random.seed(4)  # noqa: NPY002
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(4)  # noqa: NPY002

    own(task, "lucky").measure(weights, description, task.select)

    assert np.array_equal(np.random.random(3), expected)  # noqa: NPY002


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("spoils", "read-only"),
        ("nowhere", "must give a finite number, but gave nan"),
        ("words", "but gave 'good'"),
        ("exits", "SystemExit: 3"),
        ("several", "but gave (1.0, 2.0)"),
        ("array", "but gave array([1., 1., 1.])"),
        ("imaginary", "but gave (1+2j)"),
        ("answer", "but gave True"),
        ("nothing", "but gave None"),
        ("two_arguments", "TypeError: two_arguments() takes 2 positional arguments but 3 were given"),
    ],
)
def test_a_metric_that_fails_is_null_with_its_reason_and_in_nobodys_way(own, task, description, weights, name, reason):
    found = own(task, name, "ssim").measure(weights, description, task.select)

    assert found.values[f"metric_{name}"] is None
    assert -1 <= found.values["metric_ssim"] <= 1
    assert found.trouble.startswith(f"metric_{name}: ")
    assert reason in found.trouble


def test_a_number_of_any_library_is_one(own, task, description, weights):
    found = own(task, "numpys", "whole", "of_no_axes", "tensor").measure(weights, description, task.select)

    assert [*found.values.values()] == [0.5, 3.0, 0.25, 2.0]
    assert {type(value) for value in found.values.values()} == {float}


def test_what_a_metric_does_to_the_model_is_not_in_the_next_ones_way_and_not_in_the_weights(
    own, task, description, weights
):
    before = {name: array.copy() for name, array in weights.items()}
    expected = own(task, "code").measure(weights, description, task.select)

    found = own(task, "spoils_weights", "code").measure(weights, description, task.select)

    assert found.values["metric_code"] == expected.values["metric_code"]
    assert all(np.array_equal(weights[name], array) for name, array in before.items())


def test_a_process_without_memory_is_not_the_metrics_answer(own, task, description, weights):
    with pytest.raises(MemoryError):
        own(task, "huge").measure(weights, description, task.select)


def test_functions_are_imported_before_anything_is_measured(own, task, tmp_path):
    imported = tmp_path / "imported"
    (tmp_path / "odd_measures.py").write_text(f"{MEASURES}\nopen({str(imported)!r}, 'w').close()\n")

    own(task, "ssim", "lucky", "exits").import_all()

    assert imported.exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import nowhere_to_be_found\n",
            "cannot be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
        ("1/0\n", "cannot be imported: ZeroDivisionError: division by zero"),
        ("lucky = 3\n", "must be a function of (model, images, labels)"),
    ],
)
def test_a_function_that_cannot_be_imported_is_refused_with_what_to_do(own, task, tmp_path, source, said):
    (tmp_path / "odd_measures.py").write_text(source)

    with pytest.raises(InvalidSpec) as refused:
        own(task, "ssim", "lucky").import_all()

    first, advice = str(refused.value).splitlines()
    assert first.startswith("metrics: odd_measures:lucky: ")
    assert said in first
    assert (
        advice == "Install what it needs where trials run. With other code, or without it, give the spec another name."
    )
