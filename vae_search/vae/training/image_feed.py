"""Training images of an epoch's steps: gathered in the graph from a tensor, or from a mapped file by a thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from vae_search.data.random_access.mapped_images import MappedImages, PixelArray

Gather = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(positions of a chunk of steps, those of the chunk after it) -> the images of the first: part of a graph"""


def image_feed(train: PixelArray) -> Gather:
    """The way in which a graph gathers these training images."""
    if isinstance(train, MappedImages):
        return _MappedFeed(train)
    whole = tf.convert_to_tensor(train)
    return lambda chosen, coming: tf.gather(whole, chosen)


class _MappedFeed:
    """Gathers a chunk of steps from a mapped file while the chunk before it trains.

    Two chunks are in memory at most: that which trains, and the next. One that was not foreseen, as the first of an
    epoch, is gathered when it is asked for; so what comes depends on the positions alone.
    """

    def __init__(self, train: MappedImages) -> None:
        self._train = train
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._foreseen: tuple[np.ndarray, Future[np.ndarray]] | None = None

    def __call__(self, chosen: tf.Tensor, coming: tf.Tensor) -> tf.Tensor:
        images = tf.numpy_function(self._take, [chosen, coming], tf.as_dtype(self._train.dtype))
        images.set_shape([None, *self._train.shape[1:]])
        return images

    def _take(self, chosen: np.ndarray, coming: np.ndarray) -> np.ndarray:
        foreseen, self._foreseen = self._foreseen, None
        found = foreseen[1].result() if foreseen is not None else None
        if found is None or foreseen is None or not np.array_equal(foreseen[0], chosen):
            found = self._train[chosen]
        if len(coming):
            self._foreseen = (coming, self._thread.submit(self._train.__getitem__, coming))
        return found
