"""Single encoded pictures (PNG, JPEG …) to arrays of images, several at once, in their order."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vae_search.core.machine import usable_cores
from vae_search.core.text import printable
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.pictures.fitting import resize_advice, resized
from vae_search.data.formats.pictures.modes import DAMAGED, GROUND_VALUE, Ground, Pixels, header_of, pixels_of
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
AT_A_TIME = 8  # pictures that a thread decodes before it asks for more; so many for each thread are held in memory
# Not Pillow's `convert`: it makes every value above 255 white.
TO_EIGHT_BITS = "Image.fromarray((numpy.asarray(picture) >> 8).astype('uint8'))"

Encoded = tuple[str, Path | bytes]
"""name in messages, with the ending of its file; a file or encoded bytes"""


Work = Callable[[Path | bytes, str], Pixels]
"""makes pixels of an encoded picture, whose name is given for messages"""


class DamagedPicture(BadData):
    """A picture that cannot be decoded. Others may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSet:
    """Encoded pictures that may be gone through more than once.

    Args:
        where: what messages about them begin with.
        count: number of pictures.
        each: all of them, in their order.
        in_order: that is the order in which they are kept.
    """

    where: str
    count: int
    each: Callable[[], Iterable[Encoded]]
    in_order: bool = True


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

    def note(self, index: int, pixels: Pixels) -> None:
        """Count a picture that was decoded."""
        self.kept.append(index)
        self.turned += pixels.is_turned
        self.transparent += pixels.visible > 0
        self.visible += pixels.visible
        self.bright += pixels.bright
        self.fitted += pixels.is_fitted


def decode_set(
    pictures: PictureSet, choices: Choices, *, ground: Ground, beside_bytes: int = 0, is_range: bool = False
) -> Decoded:
    """Decode pictures of one size, or bring them to one; those that cannot be decoded are noted.

    Args:
        ground: what transparent pixels lie on.
        beside_bytes: size of the data set's other images.
        is_range: they are a few of many, and fit in memory whatever their size is.

    Raises:
        BadData: One has another size than the first, or pixels whose meaning is not clear.
    """
    found = Decoded(images=np.empty((0, 0, 0, 1), np.uint8))
    first, count, images = "", 0, found.images
    work = partial(_decode, choices=choices, ground=ground)
    for index, (name, result) in enumerate(_worked(pictures.each(), work)):
        if isinstance(result, DamagedPicture):
            found.damaged.append(name)
            found.reason = found.reason or str(result)
            continue
        image = result.values
        if count == 0:
            first = name.removeprefix(f"{pictures.where}: ")
            if not is_range:
                refuse_too_large((pictures.count, *image.shape), image.itemsize, where=name, beside_bytes=beside_bytes)
            images = np.empty((pictures.count, *image.shape), image.dtype)
        check_fits(images, image, name=name, first=first)
        if image.shape[2] > images.shape[3]:
            shape = (len(images), *image.shape)
            if not is_range:
                refuse_too_large(shape, image.itemsize, where=name, beside_bytes=beside_bytes + images.nbytes)
            images = np.repeat(images, 3, axis=3)
        images[count] = image
        count += 1
        found.note(index, result)
    found.images = images[:count]
    return found


def survey_set(pictures: PictureSet, choices: Choices, *, ground: Ground) -> Decoded:
    """Look at pictures of one size that do not fit in memory: at their headers, where these say enough.

    Returns:
        As `decode_set`, but for the pixels: `images` has their shape and type alone.

    Raises:
        BadData: As `decode_set`.
    """
    first, count, images = "", 0, np.empty((0, 0, 0, 1), np.uint8)
    found = Decoded(images=images)
    # Only who decodes them all knows which are to be left out.
    work = partial(_decode if choices.skip_damaged else _look, choices=choices, ground=ground)
    for index, (name, result) in enumerate(_worked(pictures.each(), work)):
        if isinstance(result, DamagedPicture):
            found.damaged.append(name)
            found.reason = found.reason or str(result)
            continue
        if count == 0:
            first, images = name.removeprefix(f"{pictures.where}: "), result.values[None]
        check_fits(images, result.values, name=name, first=first)
        if result.values.shape[2] > images.shape[3]:
            images = result.values[None]
        count += 1
        found.note(index, result)
    found.images = np.broadcast_to(np.zeros((), images.dtype), (count, *images.shape[1:]))
    return found


def check_fits(images: np.ndarray, image: np.ndarray, *, name: str, first: str) -> None:
    """Check that a picture has the size and type of the others.

    Args:
        first: name of the first of them.

    Raises:
        BadData: It has not.
    """
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


def _worked(pictures: Iterable[Encoded], work: Work) -> Iterator[tuple[str, Pixels | DamagedPicture]]:
    """Pixels that `work` makes of each picture, in their order, several at once."""
    threads = min(MOST_THREADS, usable_cores())
    source = iter(pictures)
    with warnings.catch_warnings(), ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        # Size is judged from the header; other warnings are about metadata that nobody reads here.
        warnings.simplefilter("ignore")
        waiting: deque[Future[list[tuple[str, Pixels | DamagedPicture]]]] = deque()
        try:
            while batch := list(islice(source, AT_A_TIME)):
                waiting.append(pool.submit(_work_batch, batch, work))
                if len(waiting) > threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _work_batch(batch: list[Encoded], work: Work) -> list[tuple[str, Pixels | DamagedPicture]]:
    results: list[tuple[str, Pixels | DamagedPicture]] = []
    for name, picture in batch:
        try:
            results.append((name, work(picture, name)))
        except DamagedPicture as error:
            results.append((name, error))
    return results


@contextmanager
def _opened(picture: Path | bytes, name: str, choices: Choices) -> Iterator[Image.Image]:
    formats = ("TGA",) if name.lower().endswith(ENDING_OF_TGA) else FORMATS
    try:
        with Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture, formats=formats) as opened:
            if (size := choices.resize) is not None and opened.format == "JPEG":
                side = 2 * max(size.height, size.width)
                opened.draft(None, (side, side))  # a photograph is decoded at a half, a quarter, an eighth of its size
            yield opened
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


def _decode(picture: Path | bytes, name: str, *, choices: Choices, ground: Ground) -> Pixels:
    size = choices.resize
    with _opened(picture, name, choices) as opened:
        pixels = pixels_of(opened, ground=ground, is_resized=size is not None, where=name)
    if size is None or pixels.values.shape[:2] == (size.height, size.width):
        return pixels
    if pixels.values.dtype.kind == "u" and pixels.values.itemsize > 1:
        values = np.rint(resized(pixels.values.astype(np.float32), size)).astype(pixels.values.dtype)
    else:
        values = resized(pixels.values, size, ground=GROUND_VALUE[ground])
    return replace(pixels, values=values, is_fitted=True)


def _look(picture: Path | bytes, name: str, *, choices: Choices, ground: Ground) -> Pixels:
    """Pixels of no memory that have the shape of `_decode`'s, from the header alone if it says enough."""
    size = choices.resize
    with _opened(picture, name, choices) as opened:
        header = header_of(opened, is_resized=size is not None, where=name)
    if header is None:
        return _decode(picture, name, choices=choices, ground=ground)
    shape = header.shape if size is None else (size.height, size.width, header.shape[2])
    blank = np.broadcast_to(np.uint8(0), shape)
    return Pixels(values=blank, is_turned=header.is_turned, is_fitted=shape != header.shape)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
