"""Single encoded pictures (PNG, JPEG …) to arrays of images, several at once, in their order."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vae_search.core.machine import usable_cores
from vae_search.core.text import printable
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.pictures.fitting import resize_advice, resized
from vae_search.data.formats.pictures.modes import DAMAGED, GROUND_VALUE, Ground, Pixels, pixels_of
from vae_search.data.image_checks import LARGEST, refuse_too_large
from vae_search.errors import BadData

# Only formats that data sets come in: fewer decoders see untrusted bytes.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
ENDING_OF_TGA = ".tga"  # a format without a mark of its own: by its ending alone
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
    *(".jfif", ".jpe", ".mpo", ENDING_OF_TGA),
)
MOST_THREADS = 8
TOLD_EACH = 10_000  # pictures between one word of progress and the next
AT_A_TIME = 8  # pictures that a thread decodes before it asks for more; so many for each thread are held in memory
# Not Pillow's `convert`: it makes every value above 255 white.
TO_EIGHT_BITS = "Image.fromarray((numpy.asarray(picture) >> 8).astype('uint8'))"

Encoded = tuple[str, Path | bytes]
"""name in messages, with the ending of its file; a file or encoded bytes"""


class DamagedPicture(BadData):
    """A picture that cannot be decoded. Others may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSet:
    """Encoded pictures that may be gone through more than once.

    Args:
        where: what messages about them begin with.
        count: number of pictures.
        each: all of them, in their order.
    """

    where: str
    count: int
    each: Callable[[], Iterable[Encoded]]


@dataclass(slots=True, kw_only=True, eq=False)
class Decoded:
    """Pictures of one size.

    Args:
        images: (count, height, width, 3) if any is in colour, else one channel; uint8, or uint16, int32 or float32.
        kept: positions of the pictures that could be decoded.
        damaged: names of those that could not, with the reason of the first.
        turned: pictures that were set upright, or mirrored, as their EXIF orientation says.
        transparent: pictures with transparent pixels.
        visible: pixels of these that are not transparent.
        bright: of these, those that could be seen on black.
        fitted: pictures that were brought to another size.
    """

    images: np.ndarray
    kept: list[int] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    reason: str = ""
    turned: int = 0
    transparent: int = 0
    visible: int = 0
    bright: int = 0
    fitted: int = 0


def decode_set(pictures: PictureSet, choices: Choices, *, ground: Ground, beside_bytes: int = 0) -> Decoded:
    """Decode pictures of one size, or bring them to one; those that cannot be decoded are noted.

    Args:
        ground: what transparent pixels lie on.
        beside_bytes: size of the data set's other images.

    Raises:
        BadData: One has another size than the first, or pixels whose meaning is not clear.
    """
    found = Decoded(images=np.empty((0, 0, 0, 1), np.uint8))
    first, count, images = "", 0, found.images
    for index, (name, result) in enumerate(_decoded(pictures.each(), choices, ground)):
        if choices.on_progress is not None and index and index % TOLD_EACH == 0:
            choices.on_progress(f"decoded {index:,} of {pictures.count:,} pictures")
        if isinstance(result, DamagedPicture):
            found.damaged.append(name)
            found.reason = found.reason or str(result)
            continue
        image = result.pixels.values
        if count == 0:
            first = name
            images = room_for(choices, (pictures.count, *image.shape), image.dtype, name, beside_bytes)
        of_first = first.removeprefix(f"{pictures.where}: ")
        _refuse_unlike(images, image, name=name, first=of_first)
        if image.shape[2] > images.shape[3]:
            wide = room_for(choices, (len(images), *image.shape), image.dtype, name, beside_bytes + images.nbytes)
            wide[:count] = images[:count]
            images = wide
        images[count] = image
        count += 1
        found.kept.append(index)
        found.turned += result.pixels.is_turned
        found.transparent += result.pixels.visible > 0
        found.visible += result.pixels.visible
        found.bright += result.pixels.bright
        found.fitted += result.is_fitted
    found.images = images[:count]
    return found


def holds_several(picture: Path) -> bool:
    """True for a file of several pages or frames."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(picture, formats=FORMATS) as opened:
            return bool(getattr(opened, "is_animated", False))
    except (OSError, Image.DecompressionBombError, *DAMAGED):
        return False


def room_for(choices: Choices, shape: tuple[int, ...], dtype: np.dtype, where: str, beside_bytes: int) -> np.ndarray:
    """An array for pictures, in memory unless the choices know more room."""
    if choices.room_for is not None:
        return choices.room_for(shape, dtype, where=where, beside_bytes=beside_bytes)
    refuse_too_large(shape, dtype.itemsize, where=where, beside_bytes=beside_bytes)
    return np.empty(shape, dtype)


def _refuse_unlike(images: np.ndarray, image: np.ndarray, *, name: str, first: str) -> None:
    if image.shape[:2] != images.shape[1:3]:
        found = f"this one is {_size(image)} and {first} is {_size(images[0])}"
        raise BadData(f"{name}: all images must have one size, but {found}.\n{resize_advice(*image.shape[:2])}")
    if image.dtype != images.dtype:
        bits = [
            f"{of.dtype.itemsize * 8}-bit {'floats' if of.dtype.kind == 'f' else 'numbers'}" for of in (image, images)
        ]
        raise BadData(
            f"{name}: all pictures must have one kind of pixel, but this one has {bits[0]} and {first} {bits[1]}.\n"
            f"Convert those of 16 bits: {TO_EIGHT_BITS}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Result:
    pixels: Pixels
    is_fitted: bool


def _decoded(
    pictures: Iterable[Encoded], choices: Choices, ground: Ground
) -> Iterator[tuple[str, _Result | DamagedPicture]]:
    threads = min(MOST_THREADS, usable_cores())
    source = iter(pictures)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        # Size is judged from the header; other warnings are about metadata that nobody reads here.
        warnings.simplefilter("ignore")
        waiting: deque[Future[list[tuple[str, _Result | DamagedPicture]]]] = deque()
        try:
            while batch := list(islice(source, AT_A_TIME)):
                waiting.append(pool.submit(_decode_batch, batch, choices, ground))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_batch(batch: list[Encoded], choices: Choices, ground: Ground) -> list[tuple[str, _Result | DamagedPicture]]:
    results: list[tuple[str, _Result | DamagedPicture]] = []
    for name, picture in batch:
        try:
            results.append((name, _decode(picture, name, choices, ground)))
        except DamagedPicture as error:
            results.append((name, error))
    return results


def _decode(picture: Path | bytes, name: str, choices: Choices, ground: Ground) -> _Result:
    formats = ("TGA",) if name.lower().endswith(ENDING_OF_TGA) else FORMATS
    size = choices.resize
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture, formats=formats) as opened:
            if size is not None and opened.format == "JPEG":
                side = 2 * max(size.height, size.width)
                opened.draft(None, (side, side))  # a photograph is decoded at a half, a quarter, an eighth of its size
            pixels = pixels_of(opened, ground=ground, is_resized=size is not None, where=name)
    except UnidentifiedImageError as error:
        raise DamagedPicture(
            f"{name}: must be a picture ({', '.join(FORMATS)}), but it is none, or it is damaged."
        ) from error
    except Image.DecompressionBombError as error:
        raise BadData(f"{name}: pictures must be at most {LARGEST} pixels high and wide. Resize them.") from error
    except (OSError, *DAMAGED) as error:
        reason = printable(getattr(error, "strerror", None) or str(error))
        raise DamagedPicture(
            f"{name}: must be a complete picture, but it is truncated or damaged ({reason})."
        ) from error
    if size is None or pixels.values.shape[:2] == (size.height, size.width):
        return _Result(pixels=pixels, is_fitted=False)
    if pixels.values.dtype.kind == "u" and pixels.values.itemsize > 1:
        values = np.rint(resized(pixels.values.astype(np.float32), size)).astype(pixels.values.dtype)
    else:
        values = resized(pixels.values, size, ground=GROUND_VALUE[ground])
    fitted = Pixels(values=values, is_turned=pixels.is_turned, visible=pixels.visible, bright=pixels.bright)
    return _Result(pixels=fitted, is_fitted=True)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
