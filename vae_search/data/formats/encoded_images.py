"""Single encoded pictures (PNG, JPEG …) to one array of images."""

import struct
import warnings
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vae_search.core.text import printable
from vae_search.data.image_checks import LARGEST, refuse_too_large
from vae_search.errors import BadData

# Only formats that data sets come in: fewer decoders see untrusted bytes.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
GREY_MODES = ("1", "L", "LA", "La")
COLOUR_MODES = ("RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV")
PALETTE_MODES = ("P", "PA")
# What Pillow's decoders raise for damaged files, beside OSError.
DAMAGED = (SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def decode_pictures(pictures: Iterable[tuple[str, Path | bytes]], count: int) -> np.ndarray:
    """Pictures of one size as one array: (count, height, width, 3) uint8 if any is in colour, else one channel.

    Args:
        pictures: (what messages begin with, file or encoded bytes) for each.

    Raises:
        BadData: One cannot be decoded, or has another size than the first.
    """
    images = np.empty((0, 0, 0, 1), np.uint8)
    first = ""
    for index, (where, picture) in enumerate(pictures):
        image = _decode(picture, where)
        if index == 0:
            first = where
            refuse_too_large((count, *image.shape), 1, where=where)
            images = np.empty((count, *image.shape), np.uint8)
        if image.shape[:2] != images.shape[1:3]:
            found = f"this one is {_size(image)} and {first} is {_size(images[0])}"
            raise BadData(f"{where}: all images must have one size, but {found}.\nResize them first.")
        if image.shape[2] > images.shape[3]:
            images = np.repeat(images, 3, axis=3)
        images[index] = image
    return images


def _decode(picture: Path | bytes, where: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            # Size is judged below, from the header; other warnings are about metadata that nobody reads here.
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS) as opened:
                return _pixels(opened, where)
    except UnidentifiedImageError as error:
        raise BadData(
            f"{where}: must be a picture ({', '.join(FORMATS)}), but it is none, or it is damaged."
        ) from error
    except Image.DecompressionBombError as error:
        raise BadData(f"{where}: pictures must be at most {LARGEST} pixels high and wide. Resize them.") from error
    except (OSError, *DAMAGED) as error:
        reason = printable(getattr(error, "strerror", None) or str(error))
        raise BadData(f"{where}: must be a complete picture, but it is truncated or damaged ({reason}).") from error


def _pixels(picture: Image.Image, where: str) -> np.ndarray:
    """(height, width, channels) uint8, 1 or 3 channels; what is transparent lies on black."""
    if max(picture.size) > LARGEST:
        width, height = picture.size
        raise BadData(
            f"{where}: must be at most {LARGEST} pixels high and wide, but it is {height}×{width}. Resize all pictures."
        )
    if getattr(picture, "is_animated", False):
        raise BadData(f"{where}: must be one picture, but it holds several. Save one file for each.")
    if picture.mode not in (*GREY_MODES, *COLOUR_MODES, *PALETTE_MODES):
        raise BadData(f"{where}: must have 8 bits per channel, but its mode is {picture.mode}. Convert it to 8 bits.")
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        colour = np.asarray(Image.alpha_composite(black, picture.convert("RGBA")))[..., :3]
    else:
        colour = np.asarray(picture.convert("RGB"))
    # A palette is colour only if colours are used; the modes of the others say what they are.
    is_grey = picture.mode in GREY_MODES or (picture.mode in PALETTE_MODES and bool((colour == colour[..., :1]).all()))
    return colour[..., :1] if is_grey else colour


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
