"""Pixels as networks see them; binarisation of training images, in the graph and once for scoring."""

import numpy as np
import tensorflow as tf

from vae_search.data.tasks import TrainingTask


def as_intensities(pixels: tf.Tensor, levels: int) -> tf.Tensor:
    """Whole numbers 0 … levels - 1 as float32 in [0, 1], the same shape."""
    # One over one is one: binary pixels keep their bits.
    return tf.cast(pixels, tf.float32) / float(levels - 1)


def draw_binary(images: tf.Tensor, seed: tf.Tensor, *, scale: float) -> tf.Tensor:
    """Bernoulli(images / scale) per pixel as float32, a pure function of the images and the seed.

    From 16-bit uniform integers, drawn two at a time: half the cost of float uniforms, and the probability is off by
    at most 2^-16. Shapes: (batch, height, width, channels), seed (2,) -> (batch, height, width, channels).
    """
    count = tf.size(images)
    words = tf.random.stateless_uniform([(count + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32)
    uniform = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:count]
    threshold = tf.cast(images, tf.float32) * (65536.0 / scale)
    return tf.cast(tf.cast(tf.reshape(uniform, tf.shape(images)), tf.float32) < threshold, tf.float32)


def fixed_train(task: TrainingTask, count: int, *, seed: int) -> np.ndarray:
    """The first `count` training images as held-out ones are, binarised once if those are; the same for every trial."""
    images = task.train[:count]
    if not task.dynamic:
        return images
    draws = np.random.default_rng(seed).random(images.shape, np.float32)
    return (draws * task.scale < images).astype(np.uint8)
