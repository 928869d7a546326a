"""DCGAN (Radford et al. 2016) of a given number of parameters, trained for a given number of CPU seconds.

The paper's choices, none of them searched: strided convolutions of 4×4, batch normalisation but at the edges, ReLU in
the generator and leaky ReLU (0.2) in the discriminator, 100 latents, weights from N(0, 0.02), Adam with rate 2e-4 and
beta1 0.5, the generator's loss that does not saturate (Goodfellow et al. 2014). Images are small: two strides of 2.
"""

import time
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers

LATENTS = 100
BATCH = 64
RATE, BETA_1 = 2e-4, 0.5
STEPS_AT_ONCE = 20  # between two looks at the clock
MOVING_AVERAGE = 0.9  # of batch normalisation; runs are too short for Keras' 0.99
WIDTHS = range(2, 257)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedGan:
    """Images that a trained generator made, and what its training took.

    Args:
        images: (count, height, width, channels) float32 in [0, 1]; not finite if the training diverged.
        losses: the last ones, of discriminator and generator.
    """

    images: np.ndarray
    steps: int
    cpu_s: float
    parameters: int
    losses: tuple[float, float]


def generator(image_shape: tuple[int, int, int], width: int, *, seed: int) -> keras.Model:
    """Latents (n, LATENTS) -> images (n, height, width, channels) in [-1, 1]; height and width are multiples of 4."""
    height, across, channels = image_shape
    start = (height // 4, across // 4, 2 * width)
    init = keras.initializers.RandomNormal(0.0, 0.02, seed=seed)
    return keras.Sequential(
        [
            keras.Input((LATENTS,)),
            layers.Dense(int(np.prod(start)), use_bias=False, kernel_initializer=init.clone()),
            layers.BatchNormalization(momentum=MOVING_AVERAGE),
            layers.ReLU(),
            layers.Reshape(start),
            layers.Conv2DTranspose(
                width, 4, strides=2, padding="same", use_bias=False, kernel_initializer=init.clone()
            ),
            layers.BatchNormalization(momentum=MOVING_AVERAGE),
            layers.ReLU(),
            layers.Conv2DTranspose(
                channels, 4, strides=2, padding="same", activation="tanh", kernel_initializer=init.clone()
            ),
        ]
    )


def discriminator(image_shape: tuple[int, int, int], width: int, *, seed: int) -> keras.Model:
    """Images in [-1, 1] -> logits (n, 1) that they are real."""
    init = keras.initializers.RandomNormal(0.0, 0.02, seed=seed)
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(width, 4, strides=2, padding="same", kernel_initializer=init.clone()),
            layers.LeakyReLU(0.2),
            layers.Conv2D(2 * width, 4, strides=2, padding="same", use_bias=False, kernel_initializer=init.clone()),
            layers.BatchNormalization(momentum=MOVING_AVERAGE),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dense(1, kernel_initializer=init.clone()),
        ]
    )


def parameters_of(image_shape: tuple[int, int, int], width: int) -> int:
    """Trained weights of both networks: of these shapes, without building them."""
    height, across, channels = image_shape
    area = (height // 4) * (across // 4)
    made = LATENTS * area * 2 * width + 2 * area * 2 * width
    made += 16 * 2 * width * width + 2 * width + 16 * width * channels + channels
    told = 16 * channels * width + width + 16 * width * 2 * width + 2 * 2 * width + area * 2 * width + 1
    return made + told


def width_for(image_shape: tuple[int, int, int], parameters: int) -> int:
    """Width whose number of parameters is nearest to the one given."""
    return min(WIDTHS, key=lambda width: abs(parameters_of(image_shape, width) - parameters))


def train(images: np.ndarray, *, width: int, cpu_s: float, seed: int, count: int) -> TrainedGan:
    """Train for `cpu_s` CPU seconds of this process, tracing excluded, and make `count` images.

    Args:
        images: (n, height, width, channels) float32 in [0, 1].
    """
    keras.utils.set_random_seed(seed)
    shape = tuple(images.shape[1:])
    made, told = generator(shape, width, seed=2 * seed), discriminator(shape, width, seed=2 * seed + 1)
    rates = [keras.optimizers.Adam(RATE, beta_1=BETA_1) for _ in range(2)]
    for rate, network in zip(rates, (told, made), strict=True):
        rate.build(network.trainable_variables)
    scaled = tf.constant(images * 2.0 - 1.0)
    trained = sum(int(np.prod(each.shape)) for each in (*made.trainable_variables, *told.trainable_variables))

    def cross_entropy(logits: tf.Tensor, real: float) -> tf.Tensor:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), real), logits))

    def step(real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        latents = tf.random.normal([BATCH, LATENTS])
        with tf.GradientTape() as of_told, tf.GradientTape() as of_made:
            fake = made(latents, training=True)
            on_real, on_fake = told(real, training=True), told(fake, training=True)
            told_loss = cross_entropy(on_real, 1.0) + cross_entropy(on_fake, 0.0)
            made_loss = cross_entropy(on_fake, 1.0)
        for rate, tape, loss, network in (
            (rates[0], of_told, told_loss, told),
            (rates[1], of_made, made_loss, made),
        ):
            rate.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return told_loss, made_loss

    @tf.function(autograph=False)
    def steps(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        losses = (tf.constant(0.0), tf.constant(0.0))
        return tf.while_loop(
            lambda at, *_: at < STEPS_AT_ONCE,
            lambda at, *_: (at + 1, *step(tf.gather(scaled, chosen[at]))),
            (tf.constant(0), *losses),
        )[1:]

    order = np.random.default_rng(seed)

    def chosen() -> tf.Tensor:
        return tf.constant(order.integers(0, len(images), (STEPS_AT_ONCE, BATCH)))

    losses = steps(chosen())  # with its tracing, which the clock leaves out
    done, started = STEPS_AT_ONCE, time.process_time()
    while (used_s := time.process_time() - started) < cpu_s:
        losses = steps(chosen())
        done += STEPS_AT_ONCE
    latents = tf.random.stateless_normal([count, LATENTS], [seed, 0])
    parts = [made(latents[first : first + 500], training=False).numpy() for first in range(0, count, 500)]
    return TrainedGan(
        images=np.concatenate(parts) / 2.0 + 0.5,
        steps=done,
        cpu_s=used_s,
        parameters=trained,
        losses=(float(losses[0]), float(losses[1])),
    )
