"""Conditional models: exact likelihoods of a linear one, and what labels change from training to the SavedModel."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests.support.networks import FAMILIES, binary, description, linear_network, weights
from tests.unit.vae.test_scoring import binary_pixels
from vae_search.core.dataset_summary import Classes
from vae_search.data.pixel_statistics import intensities
from vae_search.data.tasks import JudgeTask, TaskLabels
from vae_search.spec.hyperparameters import Config
from vae_search.vae.inference.image_grids import interpolations, reconstructions, traversals
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.reload_check import score_in_fresh_process
from vae_search.vae.inference.saved_model import model_files
from vae_search.vae.inference.scoring import check_classes, latent_free_baseline
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.layers import SCALE_PACE
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build
from vae_search.vae.objective.bounds import log_importance_weights
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.importance_ladder import ladder_of
from vae_search.vae.objective.likelihoods import Bernoulli
from vae_search.vae.objective.pixel_likelihoods import Gaussian
from vae_search.vae.objective.pixels import FixedDraws, as_intensities
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

CLASSES = 3
PIXELS, LATENTS, IMAGES, DEVIATION, LEVELS = 6, 2, 300, 0.04, 256
SHAPE = (2, 3, 1)
WITHIN_LEVEL = 1 / (12 * LEVELS**2)


def labels_of(count: int) -> np.ndarray:
    return np.arange(count) % CLASSES


@pytest.fixture(scope="module")
def conditional_task(task):
    """The digits' task with labels by the images' place: training and select images of every class."""
    labels = TaskLabels(train=labels_of(len(task.train)), select=labels_of(len(task.select)), classes=CLASSES)
    return replace(task, labels=labels, measured_labels=labels.select)


@pytest.fixture(scope="module")
def conditional_trainer(conditional_task) -> Trainer:
    return Trainer(conditional_task, threads=1)


def test_with_the_exact_posterior_every_importance_weight_is_the_likelihood_of_the_image_given_its_class():
    """Probabilistic PCA (Tipping & Bishop 1999) with a mean of its own for each class."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(0, 1, (PIXELS, LATENTS)) * [0.08, 0.06]
    means, variance = 0.5 + rng.normal(0, 0.1, (CLASSES, PIXELS)), DEVIATION**2 + WITHIN_LEVEL
    loadings = np.linalg.svd(loadings, full_matrices=False)[0] * [0.08, 0.06]  # so that the posterior is diagonal
    labels = labels_of(IMAGES)
    values = (
        rng.normal(0, 1, (IMAGES, LATENTS)) @ loadings.T + means[labels] + rng.normal(0, DEVIATION, (IMAGES, PIXELS))
    )
    pixels = np.clip(np.floor(values * LEVELS), 0, LEVELS - 1).astype(np.uint8)
    middles = (pixels + 0.5) / LEVELS
    covariance = loadings @ loadings.T + variance * np.eye(PIXELS)
    spread = 0.5 * WITHIN_LEVEL * np.trace(np.linalg.inv(covariance))
    exact = (
        [
            stats.multivariate_normal(means[label], covariance).logpdf(middle)
            for label, middle in zip(labels, middles, strict=True)
        ]
        - spread
        - PIXELS * np.log(LEVELS)
    )
    network = linear_network(SHAPE, latents=LATENTS, classes=CLASSES)
    inverse = np.linalg.inv(loadings.T @ loadings + variance * np.eye(LATENTS))
    encoder, shrink, shift = loadings @ inverse, (LEVELS - 1) / LEVELS, 0.5 / LEVELS
    arrays = [
        np.concatenate([shrink * encoder, (shift - means) @ encoder]),
        np.zeros(LATENTS),
        np.zeros((PIXELS + CLASSES, LATENTS)),
        np.log(variance * np.diag(inverse)),
        np.concatenate([loadings.T, means]),
        np.zeros(PIXELS),
        [0.5 * np.log(variance) / SCALE_PACE],
    ]
    assert [np.shape(array) for array in arrays] == network.shapes
    given = functions_of(
        network.topology, [tf.constant(each, tf.float32) for each in arrays], labels=tf.constant(labels)
    )
    images = as_intensities(tf.constant(pixels.reshape(IMAGES, *SHAPE)), LEVELS)
    noise = tf.random.stateless_normal([4, IMAGES, LATENTS], [1, 2])

    found = log_importance_weights(given, images, noise, clamp=(-20.0, 20.0), likelihood=Gaussian(levels=LEVELS))

    np.testing.assert_allclose(found, np.tile(exact, (4, 1)), rtol=1e-4, atol=3e-3)


def test_labels_that_tell_of_the_image_lower_the_bound(task, trainer, conditional_trainer, plan):
    """Labels made from the images: whether the left half or the right one is the brighter."""
    config = Config(latent_dim=2, depth=1, width=16, batch_size=64, learning_rate=3e-3)

    def halves(images: np.ndarray) -> np.ndarray:
        middle = images.shape[2] // 2
        return (images[:, :, :middle].mean(axis=(1, 2, 3)) > images[:, :, middle:].mean(axis=(1, 2, 3))).astype(
            np.int64
        )

    labels = TaskLabels(train=halves(task.train), select=halves(task.select), classes=2)
    told = Trainer(replace(task, labels=labels), threads=1)
    bounds = []
    for each in (trainer, told):
        run = each.start(config, plan, seed=1)
        for _ in range(8):
            measurement = run.train_epoch()
        bounds.append(measurement.neg_elbo)

    assert bounds[1] < bounds[0] - 0.1


def test_scores_follow_the_label_of_each_image_wherever_it_stands():
    described = replace(description(), network=replace(description().network, classes=CLASSES))
    ordered = list(weights(described).values())
    images, labels = binary(40), labels_of(40)
    evaluator = Evaluator.of(described)

    whole = evaluator.evaluate(ordered, images, labels)
    other = evaluator.evaluate(ordered, images, (labels + 1) % CLASSES)
    distortion, rate = evaluator.neg_elbo(ordered, images, labels)

    assert distortion + rate == pytest.approx(whole.neg_elbo.mean(), rel=1e-5)
    assert evaluator.neg_elbo(ordered, images[:7], labels) == evaluator.neg_elbo(ordered, images[:7], labels[:7])
    assert evaluator.neg_elbo(ordered, FixedDraws(images, scale=1.0, seed=1), np.tile(labels, 2)) == (
        evaluator.neg_elbo(ordered, FixedDraws(images, scale=1.0, seed=1), labels)
    )
    assert not np.isclose(whole.kl, other.kl).all()
    assert not np.isclose(whole.distortion, other.distortion).all()
    steps = ladder_of(ordered, build(described.network).topology, described, images, (2, 4), labels=labels)
    assert steps[-1].neg_iwae <= whole.neg_elbo.mean() + 5


@pytest.mark.parametrize(
    "family",
    [name if name == "conv" else pytest.param(name, marks=pytest.mark.exhaustive) for name in FAMILIES],
)
def test_a_written_conditional_model_scores_the_same_in_a_fresh_process_by_both_ways(family):
    described = description(architecture=family)
    described = replace(described, network=replace(described.network, classes=CLASSES))
    trained, images, labels = weights(described), binary(30), labels_of(30)
    expected = Evaluator.of(described).neg_elbo([*trained.values()], images, labels)

    found = score_in_fresh_process(model_files(described, trained), images, labels)

    assert found.neg_elbo == pytest.approx(sum(expected), rel=1e-5)
    assert found.saved_model_difference < 1e-3
    assert ModelDescription.from_json(described.to_json()) == described


def test_the_signatures_take_labels(tmp_path):
    described = replace(description(), network=replace(description().network, classes=CLASSES))
    trained, images, labels = weights(described), intensities(binary(6), 2), labels_of(6)
    for name, content in model_files(described, trained).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    signatures = tf.saved_model.load(str(tmp_path)).signatures
    told = tf.constant(labels, tf.int64)
    model = VaeModel(described, trained)

    encoded = signatures["encode"](images=tf.constant(images), labels=told)
    decoded = signatures["decode"](latents=encoded["mean"], labels=told)
    drawn = signatures["sample"](labels=told, seed=tf.constant(9))

    np.testing.assert_allclose(encoded["mean"], model.encode(images, labels)[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decoded["mean"], model.reconstruct(images, labels), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(drawn["images"], model.sample(6, seed=9, labels=labels), rtol=1e-4, atol=1e-5)


def test_samples_come_by_class_and_pictures_have_the_images_labels():
    described = replace(description(), network=replace(description().network, classes=CLASSES))
    model = VaeModel(described, weights(described))
    images, labels = intensities(binary(8), 2), labels_of(8)

    by_class = model.sample_classes(4, seed=1)

    assert by_class.shape == (CLASSES, 4, *images.shape[1:])
    np.testing.assert_allclose(by_class[1], model.sample(4, seed=1, labels=np.ones(4, int)), atol=1e-6)
    in_turn = model.sample(6, seed=1, labels=np.arange(6) % CLASSES)
    np.testing.assert_array_equal(model.sample(6, seed=1), in_turn)
    assert reconstructions(model, images, labels, columns=4).shape[:2] == (4, 4)
    assert traversals(model, images, labels, rows=2, columns=3).shape[1] == 3
    pairs = images.reshape(4, 2, *images.shape[1:])
    ends = interpolations(model, pairs, labels.reshape(4, 2), columns=3)
    np.testing.assert_allclose(ends[:, 0], model.reconstruct(pairs[:, 0], labels[::2]), atol=1e-5)
    np.testing.assert_allclose(ends[:, -1], model.reconstruct(pairs[:, 1], labels[1::2]), atol=1e-5)


@pytest.mark.parametrize(
    ("classes", "labels", "fragment"),
    [
        (3, None, "the model sees labels, but the images have none"),
        (0, np.array([1]), "the model sees no labels"),
        (3, np.array([0, 3]), "labels must lie in 0 … 2, but lie in 0 … 3"),
        (3, np.array([-1, 2]), "but lie in -1 … 2"),
    ],
)
def test_labels_that_a_model_does_not_know_are_refused(classes, labels, fragment):
    described = replace(description(), network=replace(description().network, classes=classes))

    with pytest.raises(ValueError, match=fragment):
        check_classes(described, labels)


@pytest.mark.parametrize("classes", [-1, 2.0, True, "3", 10**9])
def test_a_description_with_a_wild_number_of_classes_is_refused(classes):
    fields = json.loads(description().to_json())
    fields["network"]["classes"] = classes

    with pytest.raises(ValueError, match="classes"):
        ModelDescription.from_json(json.dumps(fields).encode())


def test_a_description_keeps_the_names_of_the_classes_and_is_as_before_without():
    plain = replace(description(), network=replace(description().network, classes=CLASSES))
    named = replace(plain, known_classes=Classes(counts=(4, 0, 9), names=("cat", "<b>", "Hund \u00e4")))

    assert ModelDescription.from_json(named.to_json()) == named
    assert ModelDescription.from_json(plain.to_json()) == plain
    assert '"classes": 3' in plain.to_json().decode()
    assert "counts" not in plain.to_json().decode()


@pytest.mark.parametrize(
    "written",
    [
        {"counts": [1, 2]},
        {"counts": [0, 0, 0]},
        {"counts": [1, -2, 3]},
        {"counts": [1, 2.0, 3]},
        {"counts": [1, 2, 3], "names": ["a", "b"]},
        {"counts": [1, 2, 3], "names": ["a", "b", 3]},
        {"names": ["a", "b", "c"]},
        {"counts": 3},
    ],
)
def test_a_description_with_other_classes_than_the_networks_is_refused(written):
    fields = json.loads(replace(description(), network=replace(description().network, classes=CLASSES)).to_json())

    with pytest.raises(ValueError, match="not a model's description"):
        ModelDescription.from_json(json.dumps(fields | {"classes": written}).encode())


def test_no_samples_are_drawn_of_classes_that_no_training_image_had():
    described = replace(description(), network=replace(description().network, classes=CLASSES))
    model = VaeModel(replace(described, known_classes=Classes(counts=(0, 5, 2))), weights(described))

    by_class = model.sample_classes(2, seed=1)

    assert by_class.shape[:2] == (2, 2)
    np.testing.assert_allclose(by_class[0], model.sample(2, seed=1, labels=np.ones(2, int)), atol=1e-6)
    np.testing.assert_array_equal(model.sample(4, seed=1), model.sample(4, seed=1, labels=np.array([1, 2, 1, 2])))


def test_the_baseline_of_a_conditional_task_is_scipys_bernoulli_of_the_mean_image_of_each_class():
    images, labels = binary(60), labels_of(60)
    means = np.random.default_rng(3).uniform(0.1, 0.9, (CLASSES, *images.shape[1:]))
    task = JudgeTask(
        images=images,
        pixels=binary_pixels(means.mean(axis=0)),
        labels=labels,
        class_pixels=tuple(map(binary_pixels, means)),
    )
    expected = -stats.bernoulli.logpmf(images, means[labels].astype(np.float32)).sum(axis=(1, 2, 3))

    np.testing.assert_allclose(latent_free_baseline(task, Bernoulli()), expected, rtol=1e-5)


def test_a_trial_is_held_to_the_mean_image_of_each_class(conditional_task):
    shares = [np.full(conditional_task.image_shape, share) for share in (0.2, 0.5, 0.8)]
    task = replace(conditional_task, class_pixels=tuple(map(binary_pixels, shares)))
    judged = JudgeTask(
        images=task.select, pixels=task.pixels, labels=task.select_labels, class_pixels=task.class_pixels
    )

    found = Trainer(task, threads=1)._baseline(Bernoulli())

    assert found == pytest.approx(latent_free_baseline(judged, Bernoulli()).mean())
    assert found != pytest.approx(Trainer(conditional_task, threads=1)._baseline(Bernoulli()))
