"""What a decoder's output says about an image: log-probabilities, means and draws."""

import tensorflow as tf


def bernoulli_distortion(images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """-log p(x|z) of binary pixels, in nats, summed over pixels: softplus(l) - x·l.

    Shapes: images in {0, 1} and logits, both (batch, height, width, channels) -> (batch,). Never negative.
    """
    per_pixel = tf.nn.softplus(logits) - images * logits
    return tf.reduce_sum(per_pixel, axis=[1, 2, 3])


def bernoulli_mean(logits: tf.Tensor) -> tf.Tensor:
    """P(pixel = 1), the shape of `logits`."""
    return tf.sigmoid(logits)
