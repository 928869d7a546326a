"""The norm that clipping refers to, and decoupled decay: against the recursion and AdamW's own rule in NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.optimizer import NORM_DECAY, NORM_LIMIT, Adam

pytestmark = pytest.mark.needs_tensorflow

CLIPS = (0.1, 0.5, 0.9, 1.0, 2.0, 10.0)


def gradient_norms(count: int) -> np.ndarray:
    """Norms as a training has them: falling to a level, log-normal around it, one in a hundred far off."""
    random = np.random.default_rng(3)
    trend = 2.0 + 20.0 * np.exp(-np.arange(count) / 200)
    outliers = np.where(random.random(count) < 0.01, 50.0, 1.0)
    return (trend * random.lognormal(0.0, 0.3, count) * outliers).astype(np.float32)


def run_through(norms: np.ndarray, *, grad_clip: float) -> tuple[np.ndarray, np.ndarray]:
    """The running norm after each of these norms, and whether each was clipped."""
    weight = tf.Variable(tf.zeros([1, 1]), shape=[None, None])
    optimizer = Adam([weight], clips=True, decays=False)
    optimizer.begin([(1, 1)])
    running = optimizer.state_variables(["weight"])["running_norm"]

    @tf.function
    def all_steps(norms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        references = tf.TensorArray(tf.float32, tf.shape(norms)[0])
        clipped = tf.TensorArray(tf.float32, tf.shape(norms)[0])
        for index in tf.range(tf.shape(norms)[0]):
            outcome = optimizer.step(
                [tf.reshape(norms[index], [1, 1])],
                rate=tf.constant(1e-3),
                grad_clip=tf.constant(grad_clip),
                weight_decay=tf.constant(0.0),
            )
            with tf.control_dependencies([outcome.clipped]):
                references = references.write(index, running.read_value())
            clipped = clipped.write(index, outcome.clipped)
        return references.stack(), clipped.stack()

    references, clipped = all_steps(tf.constant(norms))
    return references.numpy(), clipped.numpy()


@pytest.mark.parametrize("grad_clip", CLIPS)
def test_the_norm_that_clipping_refers_to_is_a_winsorised_mean_whatever_the_clip(grad_clip):
    norms = gradient_norms(2000)
    expected, running = [], 0.0
    for norm in norms.astype(np.float64):
        running = norm if running == 0 else NORM_DECAY * running + (1 - NORM_DECAY) * min(norm, NORM_LIMIT * running)
        expected.append(running)

    references, _ = run_through(norms, grad_clip=grad_clip)

    np.testing.assert_allclose(references, expected, rtol=1e-4)


@pytest.mark.parametrize("grad_clip", CLIPS)
def test_the_limit_neither_shrinks_to_nothing_nor_follows_outliers(grad_clip):
    norms = gradient_norms(4000)

    references, clipped = run_through(norms, grad_clip=grad_clip)

    usual = float(np.median(norms[-1000:]))
    assert references[-1] == pytest.approx(usual, rel=0.25)
    assert clipped[-1000:].mean() == pytest.approx((norms[-1000:] > grad_clip * usual).mean(), abs=0.2)


def test_a_norm_that_has_fallen_to_almost_nothing_is_followed_back_up():
    norms = np.concatenate([np.full(10, 1.0), np.full(2000, 1e-6), np.full(3000, 1.0)]).astype(np.float32)

    references, _ = run_through(norms, grad_clip=0.5)

    assert references[2009] < 1e-4
    assert references[-1] == pytest.approx(1.0, rel=1e-3)


def test_training_with_half_the_usual_norm_is_as_good_as_with_twice(trainer, plan):
    config = Config(latent_dim=8, learning_rate=5e-3, depth=2, width=64, batch_size=16, activation="elu", grad_clip=2.0)

    bounds = {}
    for grad_clip in (0.5, 2.0):
        run = trainer.start(replace(config, grad_clip=grad_clip), plan, seed=1)
        bounds[grad_clip] = [run.train_epoch() for _ in range(12)]

    assert bounds[0.5][-1].clip_share > 0.9
    assert bounds[0.5][-1].neg_elbo == pytest.approx(bounds[2.0][-1].neg_elbo, abs=0.15)


def test_a_step_takes_rate_times_weight_decay_of_each_matrix_and_nothing_of_a_bias():
    kernel, bias = tf.Variable([[2.0, -4.0]]), tf.Variable([3.0])
    optimizer = Adam([kernel, bias], clips=False, decays=True)
    optimizer.begin([(1, 2), (1,)])

    optimizer.step(
        [tf.zeros([1, 2]), tf.zeros([1])],
        rate=tf.constant(0.1),
        grad_clip=tf.constant(0.0),
        weight_decay=tf.constant(0.5),
    )

    np.testing.assert_allclose(kernel.numpy(), [[2.0 * 0.95, -4.0 * 0.95]], rtol=1e-6)
    np.testing.assert_allclose(bias.numpy(), [3.0])
