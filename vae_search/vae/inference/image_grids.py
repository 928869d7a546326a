"""Image grids of samples, reconstructions, traversals and interpolations, as PNG."""

import io
import math

import numpy as np
from PIL import Image

from vae_search.vae.inference.model import VaeModel
from vae_search.vae.training.diagnostics import active_units

GAP_PIXELS = 2
MOST_ROWS = 50  # of classes in a picture
SMALLEST_TILE_PIXELS = 56  # 8×8 digits would be specks otherwise
TRAVERSED = 3.0  # standard deviations of the prior: 99.7 % of it


def grid_png(images: np.ndarray) -> bytes:
    """One PNG with all images in a nearly square grid, enlarged in whole steps if they are small.

    Args:
        images: (n, height, width, channels) in [0, 1], 1 or 3 channels.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    blank = np.ones((rows * columns - len(images), *images.shape[1:]), images.dtype)
    return sheet_png(np.concatenate([images, blank]).reshape(rows, columns, *images.shape[1:]))


def sheet_png(images: np.ndarray) -> bytes:
    """One PNG with the images in the given rows and columns, enlarged in whole steps if they are small.

    Args:
        images: (rows, columns, height, width, channels) in [0, 1], 1 or 3 channels.
    """
    rows, columns, height, width, channels = images.shape
    factor = enlarged(height, width)
    tall, wide = height * factor, width * factor
    sheet = np.full(
        (rows * (tall + GAP_PIXELS) + GAP_PIXELS, columns * (wide + GAP_PIXELS) + GAP_PIXELS, channels), 255, np.uint8
    )
    for row, column in np.ndindex(rows, columns):
        top, left = GAP_PIXELS + row * (tall + GAP_PIXELS), GAP_PIXELS + column * (wide + GAP_PIXELS)
        tile = np.rint(255 * np.clip(images[row, column], 0.0, 1.0)).astype(np.uint8)
        sheet[top : top + tall, left : left + wide] = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(buffer, format="PNG")
    return buffer.getvalue()


def enlarged(height: int, width: int) -> int:
    """Whole steps by which a sheet enlarges its images."""
    return max(1, math.ceil(SMALLEST_TILE_PIXELS / max(height, width)))


def samples_png(model: VaeModel, count: int, *, seed: int) -> bytes:
    """One PNG of `count` samples; of a conditional model a row for each class, the same latents in each column."""
    if model.classes:
        columns = max(1, math.ceil(count / len(model.known_classes.seen)))
        return sheet_png(model.sample_classes(columns, seed=seed)[:MOST_ROWS])
    return grid_png(model.sample(count, seed=seed))


def reconstructions(
    model: VaeModel, images: np.ndarray, labels: np.ndarray | None = None, *, columns: int
) -> np.ndarray:
    """Originals, each with its reconstruction from its posterior mean below it.

    Args:
        images: (n, height, width, channels) in [0, 1].

    Returns:
        (2 · rows, columns, height, width, channels); a last row that is not full is filled up in white.
    """
    rows = math.ceil(len(images) / columns)
    pairs = np.ones((2, rows * columns, *images.shape[1:]), np.float32)
    pairs[0, : len(images)], pairs[1, : len(images)] = images, model.reconstruct(images, labels)
    by_row = pairs.reshape(2, rows, columns, *images.shape[1:]).swapaxes(0, 1)
    return by_row.reshape(2 * rows, columns, *images.shape[1:])


def traversals(
    model: VaeModel, images: np.ndarray, labels: np.ndarray | None = None, *, rows: int, columns: int
) -> np.ndarray:
    """Latent traversals: one latent in each row, from -3 to 3 of the prior's standard deviations around its mean.

    The others stay at the first image's posterior mean.
    The most active latents come first: those whose posterior means vary most over `images` (Burda et al. 2016, 5.2).
    A latent that is not active changes nothing and is left out; the first stays, so that there is a picture.

    Args:
        images: (n, height, width, channels) in [0, 1]; a few hundred tell the active latents apart.

    Returns:
        (at most `rows`, columns, height, width, channels)
    """
    means, _ = model.encode(images, labels)
    shown = min(rows, max(1, active_units(means)))
    latents = np.argsort(-means.var(axis=0), kind="stable")[:shown]
    moved = np.tile(means[0], (shown, columns, 1))
    centre, deviation = model.prior_moments()
    for row, latent in enumerate(latents):
        moved[row, :, latent] = centre[latent] + deviation[latent] * np.linspace(-TRAVERSED, TRAVERSED, columns)
    own = None if labels is None else np.repeat(labels[:1], shown * columns)
    return model.decode(moved.reshape(-1, model.latent_dim), own).reshape(shown, columns, *images.shape[1:])


def interpolations(model: VaeModel, pairs: np.ndarray, labels: np.ndarray | None = None, *, columns: int) -> np.ndarray:
    """Latent interpolations: each row decodes the straight line between the posterior means of two images.

    Straight and not along a great circle (slerp, White 2016), which keeps the norm of draws from the prior: posterior
    means lie on no common sphere, collapsed latents are near zero in all of them, and what two images share stays as
    it is only along the straight line.

    Args:
        pairs: (rows, 2, height, width, channels) in [0, 1].
        labels: (rows, 2) of a conditional model, which is given that of the nearer image.

    Returns:
        (rows, columns, height, width, channels)
    """
    rows, _, *image_shape = pairs.shape
    means = model.encode(pairs.reshape(-1, *image_shape), None if labels is None else labels.reshape(-1))[0].reshape(
        rows, 2, 1, -1
    )
    share = np.linspace(0.0, 1.0, columns, dtype=np.float32)[:, None]
    path = (1 - share) * means[:, 0] + share * means[:, 1]
    nearer = None if labels is None else labels[:, (share[:, 0] > 1 / 2).astype(int)].reshape(-1)
    return model.decode(path.reshape(-1, model.latent_dim), nearer).reshape(rows, columns, *image_shape)
