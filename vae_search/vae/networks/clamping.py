"""Clamping with a gradient that leads back inside."""

from collections.abc import Callable

import tensorflow as tf


def clamped(values: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    """`values`, none outside the limits. Outside, a gradient passes where a step against it leads back inside.

    The plain clamp's gradient is 0 there, so that a log variance that has left could only come back by chance.
    """
    low, high = limits

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def clamp(raw: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            outward = tf.logical_or(tf.logical_and(raw > high, upstream < 0), tf.logical_and(raw < low, upstream > 0))
            return tf.where(outward, tf.zeros_like(upstream), upstream)

        return tf.clip_by_value(raw, low, high), backward

    return clamp(values)
