"""Adam with relative clipping and decoupled weight decay, as operations of a compiled graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
NORM_DECAY = 0.99  # of the running gradient norm that clipping refers to
# What one step may add to that norm, as a multiple of it: an outlier must not raise the limit for those after it. Never
# the clip itself: a norm that follows what it has let through shrinks by (1 - NORM_DECAY)(1 - grad_clip) a step where
# grad_clip < 1, until nothing is let through. A winsorised mean stays away from 0 as long as the multiple is above 1.
NORM_LIMIT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """Outcome of one optimizer step, each a scalar."""

    norm: tf.Tensor
    """of all gradients together, before clipping"""
    clipped: tf.Tensor
    """1.0 if the gradient was made shorter"""
    skipped: tf.Tensor
    """1.0 if the step was left out because the gradient was not finite"""


class Adam:
    """Adam (Kingma & Ba 2015) by TensorFlow's fused kernel: an epoch is 15–25 % cheaper than in single operations.

    Args:
        weights: variables of any size; they may be given other sizes between two trials.
        clips: whether gradients are clipped; costs one more pass over them.
        decays: whether weights decay.
        undecayed: number of the last weights that never do: a prior's, which would be drawn to the origin.
    """

    def __init__(self, weights: Sequence[tf.Variable], *, clips: bool, decays: bool, undecayed: int = 0) -> None:
        self.steps = tf.Variable(0, dtype=tf.int64)
        """Steps that were applied."""
        self._weights = weights
        self._clips = clips
        self._decaying = len(weights) - undecayed if decays else 0
        self._first_moments = [unsized(len(weight.shape)) for weight in weights]
        self._second_moments = [unsized(len(weight.shape)) for weight in weights]
        self._beta_1_power = tf.Variable(1.0)
        self._beta_2_power = tf.Variable(1.0)
        self._running_norm = tf.Variable(0.0)

    def begin(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Forget everything, for weights of these shapes."""
        for moments in (self._first_moments, self._second_moments):
            for moment, shape in zip(moments, shapes, strict=True):
                moment.assign(np.zeros(shape, np.float32))
        self.steps.assign(0)
        self._beta_1_power.assign(1.0)
        self._beta_2_power.assign(1.0)
        self._running_norm.assign(0.0)

    def state_variables(self, names: Sequence[str]) -> dict[str, tf.Variable]:
        """All that the next step depends on beside the weights, whose names are given."""
        moments = {
            f"{group}/{name}": moment
            for group, found in (("first_moments", self._first_moments), ("second_moments", self._second_moments))
            for name, moment in zip(names, found, strict=True)
        }
        return moments | {
            "step": self.steps,
            "beta_1_power": self._beta_1_power,
            "beta_2_power": self._beta_2_power,
            "running_norm": self._running_norm,
        }

    def step(
        self, gradients: Sequence[tf.Tensor], *, rate: tf.Tensor, grad_clip: tf.Tensor, weight_decay: tf.Tensor
    ) -> StepOutcome:
        """Apply the gradients; with clipping, one that is not finite is left out.

        Args:
            grad_clip: a gradient's norm may be this multiple of the running norm. The limit is relative: with an
                absolute one a model whose norm settled above it would never learn again.
            weight_decay: decoupled, so that a step takes rate · weight_decay of a weight.
        """
        norm = tf.linalg.global_norm(gradients)
        if not self._clips:
            self._apply(gradients, rate, weight_decay)
            return StepOutcome(norm=norm, clipped=tf.constant(0.0), skipped=tf.constant(0.0))
        limit = grad_clip * self._running_norm
        coefficient = tf.where(limit > 0, tf.minimum(1.0, limit / tf.maximum(norm, 1e-12)), 1.0)
        finite = tf.math.is_finite(norm)

        def apply() -> tf.Tensor:
            self._apply([gradient * coefficient for gradient in gradients], rate, weight_decay)
            running = self._running_norm
            followed = NORM_DECAY * running + (1 - NORM_DECAY) * tf.minimum(norm, NORM_LIMIT * running)
            return running.assign(tf.where(running > 0, followed, norm), read_value=True)

        tf.cond(finite, apply, lambda: tf.identity(self._running_norm))
        return StepOutcome(
            norm=norm,
            clipped=tf.cast(tf.logical_and(finite, coefficient < 1.0), tf.float32),
            skipped=1.0 - tf.cast(finite, tf.float32),
        )

    def _apply(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, weight_decay: tf.Tensor) -> None:
        """Apply the gradients; weights decay as in AdamW (Loshchilov & Hutter 2019), biases are left alone."""
        first_power = self._beta_1_power.assign(self._beta_1_power * BETA_1)
        second_power = self._beta_2_power.assign(self._beta_2_power * BETA_2)
        self.steps.assign_add(1)
        groups = zip(self._weights, self._first_moments, self._second_moments, gradients, strict=True)
        for position, (weight, first, second, gradient) in enumerate(groups):
            if position < self._decaying and len(weight.shape) > 1:
                weight.assign_sub(rate * weight_decay * weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=first_power,
                beta2_power=second_power,
                lr=rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=gradient,
            )


def unsized(rank: int) -> tf.Variable:
    """A variable that takes arrays of this rank and any size."""
    return tf.Variable(tf.zeros([0] * rank), shape=[None] * rank)
