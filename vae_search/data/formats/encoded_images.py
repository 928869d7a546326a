"""Single encoded pictures (PNG, JPEG …) to one array of images."""

import struct
import warnings
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vae_search.core.machine import usable_cores
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
TURNED = range(2, 9)  # EXIF orientations of pictures that do not lie as they are to be seen
LYING = range(5, 9)  # of these, height is width
MOST_THREADS = 8
AT_A_TIME = 8  # pictures that a thread decodes before it asks for more; so many for each thread are held in memory
# Not Pillow's `convert`: it makes every value above 255 white.
EIGHT_BITS = {
    "I": "Image.fromarray((numpy.asarray(picture) >> 8).astype('uint8'))",
    "F": "Image.fromarray((numpy.asarray(picture) * 255).round().astype('uint8'))",
}

Encoded = tuple[str, Path | bytes]
"""what messages begin with; a file or encoded bytes"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedPictures:
    """Pictures of one size."""

    images: np.ndarray
    """(count, height, width, 3) uint8 if any is in colour, else one channel"""
    turned: int
    """pictures that were set upright, or mirrored, as their EXIF orientation says"""


def decode_pictures(pictures: Iterable[Encoded], count: int, *, beside_bytes: int = 0) -> DecodedPictures:
    """Decode pictures of one size, several at once, in their order.

    Args:
        beside_bytes: size of the data set's other images.

    Raises:
        BadData: One cannot be decoded, or has another size than the first.
    """
    images = np.empty((0, 0, 0, 1), np.uint8)
    first, turned = "", 0
    for index, (where, image, is_turned) in enumerate(_decoded(pictures)):
        turned += is_turned
        if index == 0:
            first = where
            refuse_too_large((count, *image.shape), 1, where=where, beside_bytes=beside_bytes)
            images = np.empty((count, *image.shape), np.uint8)
        if image.shape[:2] != images.shape[1:3]:
            found = f"this one is {_size(image)} and {first} is {_size(images[0])}"
            raise BadData(f"{where}: all images must have one size, but {found}.\nResize them first.")
        if image.shape[2] > images.shape[3]:
            refuse_too_large((count, *image.shape), 1, where=where, beside_bytes=beside_bytes + images.nbytes)
            images = np.repeat(images, 3, axis=3)
        images[index] = image
    return DecodedPictures(images=images, turned=turned)


def turned_note(turned: int) -> str:
    """Note that pictures were set upright."""
    return f"Set upright, or mirrored, as their EXIF orientation says: {turned:,} pictures."


def _decoded(pictures: Iterable[Encoded]) -> Iterator[tuple[str, np.ndarray, bool]]:
    threads = min(MOST_THREADS, usable_cores())
    source = iter(pictures)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        # Size is judged from the header; other warnings are about metadata that nobody reads here.
        warnings.simplefilter("ignore")
        waiting: deque[Future[list[tuple[str, np.ndarray, bool]]]] = deque()
        try:
            while batch := list(islice(source, AT_A_TIME)):
                waiting.append(pool.submit(_decode_batch, batch))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_batch(batch: list[Encoded]) -> list[tuple[str, np.ndarray, bool]]:
    return [(where, *_decode(picture, where)) for where, picture in batch]


def _decode(picture: Path | bytes, where: str) -> tuple[np.ndarray, bool]:
    try:
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


def _pixels(picture: Image.Image, where: str) -> tuple[np.ndarray, bool]:
    """(height, width, channels) uint8, 1 or 3 channels, and whether it was turned; what is transparent is on black."""
    if max(picture.size) > LARGEST:
        width, height = picture.size
        raise BadData(
            f"{where}: must be at most {LARGEST} pixels high and wide, but it is {height}×{width}. Resize all pictures."
        )
    if getattr(picture, "is_animated", False):
        raise BadData(f"{where}: must be one picture, but it holds several. Save one file for each.")
    if picture.mode not in (*GREY_MODES, *COLOUR_MODES, *PALETTE_MODES):
        advice = f" Convert every picture:\n{EIGHT_BITS[picture.mode[0]]}" if picture.mode[0] in EIGHT_BITS else ""
        raise BadData(f"{where}: must have 8 bits per channel, but its mode is {picture.mode}.{advice}")
    orientation = _orientation(picture)
    is_turned = orientation in TURNED
    # Pillow 13 mixes up the rows of these; it reads every other TIFF upright by itself.
    if picture.format == "TIFF" and orientation in LYING and picture.info.get("compression") == "raw":
        raise BadData(
            f"{where}: a TIFF that is not compressed must not be turned by its orientation, but this is.\n"
            "Save the pictures upright, or compressed."
        )
    if is_turned:
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        colour = np.asarray(Image.alpha_composite(black, picture.convert("RGBA")))[..., :3]
    else:
        colour = np.asarray(picture.convert("RGB"))
    # A palette is colour only if colours are used; the modes of the others say what they are.
    is_grey = picture.mode in GREY_MODES or (picture.mode in PALETTE_MODES and bool((colour == colour[..., :1]).all()))
    return colour[..., :1] if is_grey else colour, is_turned


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, from 1 to 8; 1 as well if the metadata are damaged, as viewers have it."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, *DAMAGED):
        return 1


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
