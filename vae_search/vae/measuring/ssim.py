"""Metric `ssim`: structural similarity of images and their reconstructions (Wang, Bovik, Sheikh, Simoncelli 2004)."""

import numpy as np

from vae_search.vae.measuring.model_view import MeasuredModel

WINDOW, SIGMA = 11, 1.5
"""pixels of the Gaussian window; images that are smaller take the largest odd one that fits"""
K1, K2 = 0.01, 0.03
BATCH = 500


def reconstruction_ssim(model: MeasuredModel, images: np.ndarray, labels: np.ndarray | None) -> float:
    """Mean structural similarity of images and their reconstructions; 1 is best.

    Args:
        images: (n, height, width, channels) float32 in [0, 1].
    """
    seen = labels if model.classes else None
    parts = [
        ssim(
            images[first : first + BATCH],
            model.reconstruct(images[first : first + BATCH], None if seen is None else seen[first : first + BATCH]),
        )
        for first in range(0, len(images), BATCH)
    ]
    return float(np.concatenate(parts).mean())


def ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity, the mean over the windows that lie in the image, and over channels.

    Equation 13 with C1 = K1² and C2 = K2², the values spanning 1; moments are weighted by a Gaussian, as in section
    III.B, and not corrected for the sample's size.

    Args:
        first, second: (n, height, width, channels) in [0, 1].

    Returns:
        (n,) in [-1, 1].
    """
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = _smoothed(x), _smoothed(y)
    variance_x, variance_y = _smoothed(x * x) - mean_x**2, _smoothed(y * y) - mean_y**2
    covariance = _smoothed(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    similar = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    apart = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    found: np.ndarray = (similar / apart).mean(axis=(1, 2, 3))
    return found


def _smoothed(images: np.ndarray) -> np.ndarray:
    """Weighted means over all windows inside: along the height, then along the width."""
    size = min(WINDOW, *images.shape[1:3])
    size -= 1 - size % 2
    offsets = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (1, 2):
        images = np.lib.stride_tricks.sliding_window_view(images, size, axis=axis) @ weights
    return images
