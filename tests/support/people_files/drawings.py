"""Drawings: bright ellipses and boxes on a dark ground, each another."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def drawings(count: int = 200, height: int = 28, width: int = 28, channels: int = 1, seed: int = 0) -> np.ndarray:
    """(count, height, width) uint8, or with three channels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    images = np.zeros((count, height, width, channels), np.uint8)
    for image in images:
        middle = rng.uniform(0.3 * height, 0.7 * height), rng.uniform(0.3 * width, 0.7 * width)
        half = rng.uniform(0.1 * height, 0.3 * height), rng.uniform(0.1 * width, 0.3 * width)
        down, right = np.abs(rows - middle[0]) / half[0], np.abs(columns - middle[1]) / half[1]
        inside = down**2 + right**2 <= 1 if rng.random() < 0.5 else (down <= 1) & (right <= 1)
        for channel in range(channels):
            ground = rng.integers(10, 60) if channels == 3 else 0
            image[..., channel] = np.where(inside, rng.integers(120, 256), ground)
    return images[..., 0] if channels == 1 else images


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as the bytes of its file."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def save(path: Path, image: np.ndarray | Image.Image, **options: Any) -> None:
    """A picture as a file, in folders that are made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
