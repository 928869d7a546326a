"""Models of grey pixels, trained on scikit-learn's digits of 17 levels."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from tests.support.networks import description, grey, statistics, weights
from tests.unit.vae.test_trainer import FAMILIES, train
from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.scoring import judge, latent_free_baseline
from vae_search.vae.networks.forward import WeightedNetwork
from vae_search.vae.networks.network import build, initial_weights
from vae_search.vae.objective.likelihoods import likelihood_of
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

LEVELS = 17
GREY = ("gaussian", "discretized_logistic")
CASES = [
    ("gaussian", "mlp"),
    ("gaussian", "conv"),
    ("discretized_logistic", "pyramid"),
    ("discretized_logistic", "resnet"),
]
TWO_LEVELS = ("gaussian", "hvae_conv")


@pytest.fixture(scope="module")
def grey_task() -> TrainingTask:
    images = load_digits().images.astype(np.uint8)[..., None]
    return TrainingTask(
        train=images[:1280],
        select=images[1280:],
        scale=LEVELS - 1.0,
        dynamic=False,
        floor=0.0,
        pixels=PixelStatistics.of(Images(pixels=images[:1280], scale=LEVELS - 1.0), levels=LEVELS),
    )


@pytest.fixture(scope="module")
def grey_trainer(grey_task) -> Trainer:
    return Trainer(grey_task, threads=1)


def plan_of(likelihood: str) -> TrainingPlan:
    return TrainingPlan(
        epochs=4, lr_schedule="constant", ema_decay=0.99, log_variance_clamp=(-8.0, 2.0), likelihood=likelihood
    )


@pytest.mark.parametrize("likelihood", GREY)
def test_training_beats_the_model_without_latents_and_says_how_often_a_scale_was_clamped(
    likelihood, grey_trainer, grey_task
):
    config = replace(FAMILIES["mlp"], learning_rate=3e-3)
    run = grey_trainer.start(config, plan_of(likelihood), seed=1)
    judged = JudgeTask(images=grey_task.select, pixels=grey_task.pixels)
    baseline = latent_free_baseline(judged, likelihood_of(likelihood, LEVELS)).mean()

    values = train(run, 8)
    scores = run.scores()

    assert values[0].neg_elbo > values[3].neg_elbo > values[7].neg_elbo > 0
    assert values[7].neg_elbo < 0.95 * baseline
    assert scores.bits_per_dim == pytest.approx(scores.neg_elbo / (64 * np.log(2)))
    assert scores.bits_per_dim < np.log2(LEVELS)  # that of a model that knows nothing
    assert -scores.neg_elbo < scores.iwae < 0
    assert scores.scale_clamp_share == values[7].scale_clamped_share
    assert 0 <= scores.scale_clamp_share < 0.5
    assert scores.shuffle_gap > 1.0
    floor = 64 * likelihood_of(likelihood, LEVELS).floor_per_value
    assert scores.floor_excess == pytest.approx(scores.neg_elbo - floor)


def test_a_likelihood_without_scales_has_no_share_of_clamped_ones(trainer, plan):
    assert trainer.start(FAMILIES["mlp"], plan, seed=1).train_epoch().scale_clamped_share is None


@pytest.mark.parametrize(("likelihood", "family"), [*CASES, TWO_LEVELS])
def test_scores_of_the_same_weights_do_not_depend_on_what_only_training_knows(
    likelihood, family, grey_trainer, grey_task
):
    runs = []
    for beta, clip, decay in ((0.1, 0.0, 0.0), (10.0, 5.0, 0.1)):
        config = replace(FAMILIES[family], beta=beta, grad_clip=clip, weight_decay=decay)
        runs.append(grey_trainer.start(config, plan_of(likelihood), seed=1))
    given = list(runs[0].averaged_weights().values())

    first, second = (run._graph.evaluator for run in runs)

    assert first is not second
    assert first.neg_elbo(given, grey_task.select) == second.neg_elbo(given, grey_task.select)


@pytest.mark.parametrize(("likelihood", "family"), CASES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_layers_compute_what_keras_does(likelihood, family, channels):
    described = description(architecture=family, likelihood=likelihood, image_shape=(13, 7, channels))
    given = weights(described)
    latents = np.random.default_rng(6).normal(size=(5, 5)).astype(np.float32)
    functions = WeightedNetwork(
        topology=build(described.network).topology, weights=[tf.constant(array) for array in given.values()]
    )

    output = functions.decoder(tf.constant(latents)).numpy()

    assert output.shape == (5, 13, 7, 2 * channels)
    np.testing.assert_allclose(output, VaeModel(described, given).decoder(latents), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("likelihood", "family"), CASES)
def test_a_fresh_decoder_puts_out_what_needs_no_latents(likelihood, family):
    """Where the last kernel's input is zero: for each pixel its own, or one for all where they share a bias."""
    described = description(architecture=family, likelihood=likelihood)
    network = build(described.network)
    pixels = network.biased_alike(uneven(described))
    latent_free = likelihood_of(likelihood, LEVELS).latent_free(pixels)
    assert latent_free.shape[:2] == ((13, 7) if family in ("mlp", "pyramid") else (1, 1))
    fresh = initial_weights(network, seed=1, latent_free=latent_free)
    silent = [np.zeros_like(array) if array.ndim > 1 else array for array in fresh]

    output = WeightedNetwork(topology=network.topology, weights=[tf.constant(array) for array in silent]).decoder(
        tf.zeros([1, 5])
    )

    np.testing.assert_allclose(output[0], np.broadcast_to(latent_free, (13, 7, 2)), rtol=1e-5, atol=1e-6)


def uneven(described) -> PixelStatistics:
    """Of pixels that differ from place to place."""
    images = np.random.default_rng(8).integers(
        0, np.linspace(2, LEVELS, 91, dtype=int).reshape(13, 7, 1), (50, 13, 7, 1)
    )
    return PixelStatistics.of(Images(pixels=images.astype(np.uint8), scale=LEVELS - 1.0), levels=described.levels)


@pytest.mark.parametrize("likelihood", GREY)
def test_draws_have_the_levels_of_the_data_and_means_lie_in_the_unit_interval(likelihood):
    described = description(likelihood=likelihood)
    model = VaeModel(described, weights(described))

    drawn, again, other = (model.draw(30, seed=seed) for seed in (1, 1, 2))
    means = model.sample(30, seed=1)

    assert drawn.dtype == np.uint8
    assert drawn.shape == (30, 13, 7, 1)
    assert set(np.unique(drawn)) <= set(range(LEVELS))
    assert len(np.unique(drawn)) > LEVELS // 2
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, other)
    assert 0 <= means.min() < means.max() <= 1


@pytest.mark.parametrize("likelihood", GREY)
def test_a_judgement_keeps_the_bounds_in_their_order(likelihood):
    described = description(likelihood=likelihood)
    task = JudgeTask(images=grey(60), pixels=statistics(described))

    found = judge(weights(described), described, task, iwae_samples=30)

    assert found.iwae.mean() > -found.neg_elbo.mean()
    np.testing.assert_array_equal(found.baseline, latent_free_baseline(task, likelihood_of(likelihood, LEVELS)))


def test_images_of_other_levels_are_not_judged():
    described = description(likelihood="gaussian")
    other = replace(statistics(described), levels=256)

    with pytest.raises(ValueError, match="must have 17 levels, but have 256"):
        judge(weights(described), described, JudgeTask(images=grey(60), pixels=other), iwae_samples=2)
