"""Pictures of what a model makes."""

import io
import math

import numpy as np
from PIL import Image

GAP_PIXELS = 2
SMALLEST_TILE_PIXELS = 56  # 8×8 digits would be specks otherwise


def grid_png(images: np.ndarray) -> bytes:
    """One PNG with all images in a nearly square grid, enlarged in whole steps if they are small.

    Args:
        images: (n, height, width, channels) in [0, 1], 1 or 3 channels.
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    factor = max(1, math.ceil(SMALLEST_TILE_PIXELS / max(height, width)))
    tall, wide = height * factor, width * factor
    sheet = np.full(
        (rows * (tall + GAP_PIXELS) + GAP_PIXELS, columns * (wide + GAP_PIXELS) + GAP_PIXELS, channels), 255, np.uint8
    )
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        top, left = GAP_PIXELS + row * (tall + GAP_PIXELS), GAP_PIXELS + column * (wide + GAP_PIXELS)
        tile = np.rint(255 * np.clip(image, 0.0, 1.0)).astype(np.uint8)
        sheet[top : top + tall, left : left + wide] = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(buffer, format="PNG")
    return buffer.getvalue()
