"""Training on images left for right: what is drawn, and that no score sees it."""

from dataclasses import replace

import numpy as np
import pytest

from vae_search.spec.hyperparameters import Config

pytestmark = pytest.mark.needs_tensorflow

CONFIG = Config(latent_dim=4, depth=1, width=16, batch_size=64)


def curve(run, epochs: int) -> list[float]:
    return [run.train_epoch().neg_elbo for _ in range(epochs)]


def test_half_of_the_images_are_turned_by_chance_and_each_is_whole(trainer):
    import tensorflow as tf

    from vae_search.vae.objective.pixels import mirrored

    images = np.random.default_rng(0).integers(0, 256, (2000, 3, 4, 3), np.uint8)

    seen = mirrored(tf.constant(images), tf.constant([1, 2])).numpy()
    again = mirrored(tf.constant(images), tf.constant([1, 2])).numpy()
    others = mirrored(tf.constant(images), tf.constant([1, 3])).numpy()

    turned = (seen == images[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (seen == images).all(axis=(1, 2, 3))
    assert (turned ^ kept).all()
    assert 900 <= turned.sum() <= 1100  # four and a half standard deviations
    np.testing.assert_array_equal(seen, again)
    assert (seen != others).any()


def test_training_sees_it_and_the_first_score_of_the_same_weights_does_not(trainer, plan, task):
    plain, turned = (trainer.start(CONFIG, replace(plan, mirrors=flag), seed=3) for flag in (False, True))

    scored = {run._graph.evaluator.neg_elbo(plain._graph.averages, task.select) for run in (plain, turned)}
    curves = [curve(trainer.start(CONFIG, replace(plan, mirrors=flag), seed=3), 2) for flag in (False, True)]

    assert len(scored) == 1
    assert curves[0] != curves[1]


def test_images_that_have_no_left_and_right_are_learned_as_well_where_only_the_other_side_was_trained(trainer, plan):
    """Trained on one hand alone, a mirrored model explains the other hand better than a plain one."""
    task = trainer.task
    from vae_search.vae.training.trainer import Trainer

    other_hand = Trainer(replace(task, select=task.select[:, :, ::-1].copy()), threads=1)

    plain, turned = (
        curve(other_hand.start(CONFIG, replace(plan, epochs=8, mirrors=flag), seed=3), 8)[-1] for flag in (False, True)
    )

    assert turned < plain - 0.5
