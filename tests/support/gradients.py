"""Gradients of a graph beside finite differences of its objective."""

from collections.abc import Callable, Sequence

import pytest
import tensorflow as tf

STEP = 1e-2
SMALL_STEP = 1e-5


def difference(objective: Callable[[], tf.Tensor], variable: tf.Variable, place: tuple[int, ...]) -> float:
    """Slope of an objective along one entry of a float64 variable, by a central difference."""
    before, found = variable.numpy(), []
    for step in (SMALL_STEP, -SMALL_STEP):
        moved = before.copy()
        moved[place] += step
        variable.assign(moved)
        found.append(float(objective()))
    variable.assign(before)
    return (found[0] - found[1]) / (2 * SMALL_STEP)


def check_slopes(objective: Callable[[], tf.Tensor], variables: Sequence[tf.Variable]) -> None:
    """Check the gradient of each float32 variable along one random direction, by a central difference."""
    with tf.GradientTape() as tape:
        value = objective()
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        direction = tf.random.stateless_normal(variable.shape, [7, 7])
        direction /= tf.norm(direction)
        variable.assign_add(STEP * direction)
        above = objective()
        variable.assign_sub(2 * STEP * direction)
        below = objective()
        variable.assign_add(STEP * direction)
        slope = float(above - below) / (2 * STEP)
        assert slope == pytest.approx(float(tf.reduce_sum(gradient * direction)), abs=5e-3, rel=2e-2)
