"""Pixels as networks see them; binarisation of training images, in the graph and once for scoring."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from vae_search.data.random_access.mapped_images import MappedImages, PixelArray, parted
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


def mirrored(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Each image as it is or left for right, with one half of the chance each: a pure function of images and seed.

    Shapes: (batch, height, width, channels), seed (2,) -> (batch, height, width, channels).
    """
    turned = tf.random.stateless_uniform(tf.shape(images)[:1], seed) < 0.5
    return tf.where(turned[:, tf.newaxis, tf.newaxis, tf.newaxis], tf.reverse(images, axis=[2]), images)


def fixed_train(task: TrainingTask, count: int, *, seed: int) -> PixelArray:
    """The first `count` training images as held-out ones are, binarised once if those are; the same for every trial."""
    images = parted(task.train, 0, min(count, len(task.train)))
    if not task.dynamic:
        return images
    drawn = FixedDraws(images, scale=task.scale, seed=seed)
    return drawn if isinstance(images, MappedImages) else drawn[:]


class FixedDraws:
    """Images binarised once, each pixel by a random number of its own in one stream; drawn when they are asked for.

    Args:
        images: intensity = images / scale.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, images: PixelArray, *, scale: float, seed: int) -> None:
        self._images = images
        self._scale = scale
        self._seed = seed
        self._values = math.prod(images.shape[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """(count, height, width, channels)"""
        return self._images.shape

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take in memory."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, key: Any, /) -> np.ndarray:
        if isinstance(key, slice):
            first, stop, step = key.indices(len(self))
            if step == 1:
                return self._drawn(self._images[key], first)
            key = np.arange(first, stop, step)
        return np.stack([self._drawn(self._images[int(place) : int(place) + 1], int(place))[0] for place in key])

    def _drawn(self, images: np.ndarray, first: int) -> np.ndarray:
        """Consecutive images, of which `first` is the place of the first one."""
        # A word of the generator makes two single floats, so that an odd place begins in the middle of one.
        words, inside = divmod(first * self._values, 2)
        generator = np.random.Generator(np.random.PCG64(self._seed).advance(words))
        draws = generator.random(inside + images.size, np.float32)[inside:].reshape(images.shape)
        return (draws * self._scale < images).astype(np.uint8)
