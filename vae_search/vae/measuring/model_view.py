"""The model as a metric sees it: encode, decode, reconstruct, sample, draw, and the features of images."""

from collections.abc import Callable

import numpy as np

from vae_search.vae.inference.feature_space import FeatureSpace
from vae_search.vae.inference.model import Trained, VaeModel
from vae_search.vae.networks.model_config import ModelDescription


class MeasuredModel(VaeModel):
    """A trained model, with the principal components of its training images.

    Components, not the classifier of the promotion gate: a criterion ranks trials of several machines, and a classifier
    trained on another type of CPU has other features.
    """

    def __init__(self, description: ModelDescription, trained: Trained, *, space: Callable[[], FeatureSpace]) -> None:
        """Take a model; the features are made when they are first asked for.

        Args:
            space: gives the features of images in 0 … levels - 1.

        Raises:
            ValueError: See `VaeModel`.
        """
        super().__init__(description, trained)
        self._space = space

    @property
    def levels(self) -> int:
        """Number of values of a pixel: 2 black and white, 256 grey or colour."""
        return self.description.levels

    def features(self, images: np.ndarray) -> np.ndarray:
        """Features of images in [0, 1], (n, height, width, channels) -> (n, d) float64."""
        pixels = np.rint(images * (self.levels - 1)).astype(np.uint8)
        return self._space().features(pixels)
