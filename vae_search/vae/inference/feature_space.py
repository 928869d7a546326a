"""Feature space of sample quality: a classifier of the data's own labels, or principal components without labels.

Networks trained on photographs say little about 28×28 pixels in black and white, and would have to be downloaded. Ours
are trained on the training images of the very data set; their ids tell whether two distances may be compared.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from vae_search.data.pixel_statistics import BINARY, intensities
from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.vae.objective.pixels import fixed_train

TRAIN_IMAGES_SEED = 781
COMPONENTS = 64
PCA_IMAGES = 10_000
CLASSIFIER_SEED = 780
CLASSIFIER_IMAGES, CLASSIFIER_EPOCHS, CLASSIFIER_BATCH = 20_000, 4, 128
CLASSIFIER_FEATURES = 64
HELD_OUT_SHARE = 10  # one image in so many measures the classifier
FEATURE_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpace:
    """Features of images as they are scored.

    Args:
        name: kind and id, such as `classifier_ab12cd34`; equal names have the same features.
        features: (n, height, width, channels) uint8 in 0 … levels - 1 -> (n, d) float64.
        accuracy: of the classifier on training images that it was not trained on; None without labels.
    """

    name: str
    features: Callable[[np.ndarray], np.ndarray]
    accuracy: float | None


def feature_space_of(task: TrainingTask, judge_task: JudgeTask) -> FeatureSpace:
    """The classifier's features if the training images have labels, else principal components."""
    train, levels = feature_train_images(task), task.pixels.levels
    if judge_task.train_labels is None:
        return principal_components(train, levels=levels)
    return classifier_features(train, judge_task.train_labels, levels=levels)


def feature_train_images(task: TrainingTask) -> PixelArray:
    """The training images as the judge images are, binarised once if those are: uint8 in 0 … levels - 1."""
    return fixed_train(task, len(task.train), seed=TRAIN_IMAGES_SEED)


def principal_components(train: PixelArray, *, levels: int) -> FeatureSpace:
    """The coordinates along the training images' first 64 principal components: for data without labels.

    Args:
        train: (n, height, width, channels) uint8 in 0 … levels - 1.
    """
    first = train[:PCA_IMAGES]
    images = intensities(first.reshape(len(first), -1), levels)
    mean = images.mean(axis=0)
    centred = images - mean
    # The smaller of the two products has the same eigenvalues; large images are many pixels, small sets few images.
    if centred.shape[1] <= centred.shape[0]:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        components = vectors[:, ::-1][:, :COMPONENTS]
    else:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        kept = values[::-1][:COMPONENTS] > values[-1] * 1e-6
        components = centred.T @ vectors[:, ::-1][:, :COMPONENTS][:, kept]
        components /= np.linalg.norm(components, axis=0)

    mean, components = mean.astype(np.float64), components.astype(np.float64)

    def coordinates(of: np.ndarray) -> np.ndarray:
        along: np.ndarray = (of.reshape(len(of), -1) / (levels - 1.0) - mean) @ components
        return along

    kept_images = np.packbits(first) if levels == BINARY else first
    # Signs of components are arbitrary, and no distance depends on them: the id is that of the images.
    return FeatureSpace(name=f"pca{components.shape[1]}_{_id(kept_images)}", features=coordinates, accuracy=None)


def classifier_features(train: PixelArray, labels: np.ndarray, *, levels: int) -> FeatureSpace:
    """The last hidden layer of a small convolutional classifier, trained here and now with fixed seeds.

    Another machine type may end with other bits; the features then have another name.

    Args:
        train: (n, height, width, channels) uint8 in 0 … levels - 1.
        labels: (n,) whole numbers from 0 on.

    Raises:
        ValueError: Images and labels differ in number, or there is only one class.
    """
    if len(train) != len(labels) or len(np.unique(labels)) < 2:
        classes = len(np.unique(labels))
        raise ValueError(f"every image needs a label of two classes or more, but {len(labels)} have {classes}")
    order = np.random.default_rng(CLASSIFIER_SEED).permutation(len(train))[:CLASSIFIER_IMAGES]
    measured, trained = np.split(order, [len(order) // HELD_OUT_SHARE])
    hidden, classifier = _classifier(train.shape[1:], int(labels.max()) + 1)
    rng = np.random.default_rng(CLASSIFIER_SEED)
    for _ in range(CLASSIFIER_EPOCHS):
        chosen = rng.permutation(trained)
        classifier.fit(
            intensities(train[chosen], levels), labels[chosen], batch_size=CLASSIFIER_BATCH, shuffle=False, verbose=0
        )

    def features(of: np.ndarray) -> np.ndarray:
        return _outputs(hidden, of, levels)

    guesses = _outputs(classifier, train[measured], levels).argmax(axis=1)
    return FeatureSpace(
        name=f"classifier_{_id(*classifier.get_weights())}",
        features=features,
        accuracy=float(np.mean(guesses == labels[measured])),
    )


def _classifier(image_shape: tuple[int, ...], classes: int) -> tuple[keras.Model, keras.Model]:
    """Two models with shared weights: images -> the last hidden layer, and images -> logits."""
    seeds = iter(range(CLASSIFIER_SEED, CLASSIFIER_SEED + 4))

    def fresh() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    images = keras.Input(image_shape)
    outputs = images
    for filters in (16, 32):
        outputs = layers.Conv2D(filters, 4, strides=2, padding="same", activation="relu", kernel_initializer=fresh())(
            outputs
        )
    outputs = layers.Dense(CLASSIFIER_FEATURES, activation="relu", kernel_initializer=fresh())(
        layers.Flatten()(outputs)
    )
    logits = layers.Dense(classes, kernel_initializer=fresh())(outputs)
    classifier = keras.Model(images, logits)
    classifier.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return keras.Model(images, outputs), classifier


def _outputs(model: keras.Model, images: np.ndarray, levels: int) -> np.ndarray:
    parts = [
        model(intensities(images[first : first + FEATURE_BATCH], levels)).numpy()
        for first in range(0, len(images), FEATURE_BATCH)
    ]
    return np.concatenate(parts).astype(np.float64)


def _id(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr((array.dtype.str, array.shape)).encode() + array.tobytes())
    return digest.hexdigest()[:8]
