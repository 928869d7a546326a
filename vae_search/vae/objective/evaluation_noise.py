"""Noise of held-out bounds: a function of an image's position and the draw, the same for all weights."""

import tensorflow as tf

from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH

EVALUATION_SEED = 777


def evaluation_noise(
    position: int | tf.Tensor, first: int | tf.Tensor, *, draws: int | tf.Tensor, latent_dim: int | tf.Tensor
) -> tf.Tensor:
    """Standard normal noise of a whole batch: (draws, EVALUATION_BATCH, latent_dim).

    Args:
        position: of the batch.
        first: of the draws, a multiple of IWAE_CHUNK.
        draws: at most IWAE_CHUNK.
    """
    return tf.random.stateless_normal(
        [draws, EVALUATION_BATCH, latent_dim], tf.stack([EVALUATION_SEED + position, first + 1])
    )
