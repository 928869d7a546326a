"""Checks of images before anything starts, and their normal form for the rest of the program."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vae_search.core.machine import usable_memory_bytes
from vae_search.core.text import printable
from vae_search.data.random_access.mapped_images import Keep, PixelArray, chosen, in_memory
from vae_search.errors import BadData

SMALLEST, LARGEST = 4, 512  # pixels along a side
CHANNELS = (1, 3)
MAX_BYTES = 8 * 2**30  # of decoded images that are held in memory, once per process; more are mapped from a file
# Of the memory that there is: a driver holds the images as read, once more split, and once more for its workers.
MEMORY_SHARE = 1 / 4
DARKEST = 1 / 8  # the least that the brightest pixel of a whole data set may be
# Floats that stand on such a grid are kept as bytes, a quarter of the memory and the traffic, and nothing is lost:
# black and white, scikit-learn's digits, eight-bit images.
GRIDS = (1, 16, 255)
BLOCK_PIXELS = 2**22
BLACK_AND_WHITE = (
    "data.binarize: none needs grey or coloured pixels, but these are all black or white.\n"
    "Set data.binarize: threshold and likelihood: bernoulli."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """Checked images: intensity = pixels / scale, in [0, 1].

    Args:
        pixels: (count, height, width, channels), uint8 or float32, an array or in a file; channels is 1 or 3.
        scale: what white is: 1, 16 or 255 for uint8, 1 for float32.
    """

    pixels: PixelArray
    scale: float

    def __len__(self) -> int:
        return len(self.pixels)

    def chosen(self, indices: np.ndarray) -> "Images":
        """The images at these positions, in this order."""
        return Images(pixels=chosen(self.pixels, indices), scale=self.scale)


def check_images(array: np.ndarray, *, where: str, keep: Keep = in_memory) -> Images:
    """Check images and bring them into the one form.

    Whole numbers 0 … 255 and floats in [0, 1] are both understood; 0/1 and False/True are black and white.

    Args:
        array: (count, height, width) or (count, height, width, channels).
        where: what messages begin with.
        keep: puts pixels of another type than the array's where there is room for all of them.

    Raises:
        BadData: Wrong type, shape or range; NaN or infinity; no image at all; nothing to learn.
    """
    check_type(array.dtype, where=where)
    shaped = array.reshape(check_shape(array.shape, where=where))
    images = _from_floats(shaped, where, keep) if array.dtype.kind == "f" else _from_whole_numbers(shaped, where, keep)
    if len(images) > 1 and not any((block != images.pixels[0]).any() for block in blocks(images.pixels)):
        raise BadData(f"{where}: images must differ, but all {len(images):,} are the same: there is nothing to learn.")
    brightest = extremes(images.pixels)[1] / images.scale
    if brightest < DARKEST:
        raise BadData(
            f"{where}: white is 255 for whole numbers and 1 for floats, but the brightest is {array.max():.6g}.\n"
            "Were the images scaled twice, or is white another number? Divide them by it and save floats in [0, 1]."
        )
    return images


def grey_levels(*parts: Images, where: str) -> int:
    """Number of grey levels of a pixel, for likelihoods of grey values: 256 for 8-bit images.

    Raises:
        BadData: The pixels are black and white, floats that are no whole numbers of any scale, or on several scales.
    """
    if any(part.pixels.dtype != np.uint8 for part in parts):
        raise BadData(
            f"{where}: data.binarize: none needs whole numbers, since bits per dimension count those, but these are\n"
            "floats in between. Save them as uint8 in 0 … 255, or use dynamic with a bernoulli likelihood."
        )
    scales = sorted({part.scale for part in parts})
    if len(scales) > 1:
        raise BadData(
            f"{where}: training and test images must share a scale, but white is {' and '.join(map(str, scales))}.\n"
            "Save both as uint8 in 0 … 255."
        )
    if scales[0] <= 1:
        raise BadData(f"{where}: {BLACK_AND_WHITE}")
    return int(scales[0]) + 1


def check_pair(
    train: np.ndarray, test: np.ndarray, *, where: str, keeps: tuple[Keep, Keep] = (in_memory, in_memory)
) -> tuple[Images, Images]:
    """Check a source's training and test images, each and against each other.

    Args:
        keeps: as for `check_images`, of the training and of the test images.

    Raises:
        BadData: As `check_images`, or the two differ in size or in what white is.
    """
    first = check_images(train, where=f"{where}: training images", keep=keeps[0])
    second = check_images(test, where=f"{where}: test images", keep=keeps[1])
    if first.pixels.shape[1:] != second.pixels.shape[1:]:
        sizes = f"{_size(first.pixels.shape)} and {_size(second.pixels.shape)}"
        raise BadData(f"{where}: training and test images must have the same size, but they are {sizes}.")
    if first.scale != second.scale and "f" not in (train.dtype.kind, test.dtype.kind):
        raise BadData(
            f"{where}: training and test images must share a scale, but they end at {train.max()} and {test.max()}.\n"
            "Save both as 0 … 255, or both as floats in [0, 1]."
        )
    return first, second


def check_type(dtype: np.dtype, *, where: str) -> None:
    """Check that pixels of this type can be understood.

    Raises:
        BadData: They are neither booleans, whole numbers nor floats of at most 64 bits.
    """
    if dtype.hasobject:
        raise BadData(
            f"{where}: pixels must be numbers, but these are pickled Python objects, which are not loaded.\n"
            "Save them as one array of uint8 or float32; images of several sizes must be resized first."
        )
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise BadData(
            f"{where}: pixels must be booleans, whole numbers or floats, but their type is {printable(dtype.name)}."
        )


def refuse_too_large(shape: Sequence[int], item_bytes: int, *, where: str, beside_bytes: int = 0) -> None:
    """Refuse images by what their header says, before they are decoded.

    Args:
        beside_bytes: size of other images of the data set, which are held at the same time.

    Raises:
        BadData: They would take more than `decoded_limit_bytes`.
    """
    size = beside_bytes + math.prod(shape) * item_bytes
    limit = decoded_limit_bytes()
    if size > limit:
        beside = f" with {beside_bytes / 2**30:,.1f} GiB of others" if beside_bytes else ""
        raise BadData(
            f"{where}: decoded images must fit in {limit / 2**30:.3g} GiB ({limit_words(limit)}),\n"
            f"but {tuple(shape)} values{beside} take {size / 2**30:,.1f} GiB.\n"
            "Save them as a .npy file, which may be of any size, or use fewer or smaller images."
        )


def decoded_limit_bytes() -> int:
    """Most that decoded images may take on this machine, or in this container."""
    return min(MAX_BYTES, int(usable_memory_bytes() * MEMORY_SHARE))


def limit_words(limit: int) -> str:
    """Grounds of a limit, in words."""
    return "the most that is held in memory" if limit == MAX_BYTES else f"{MEMORY_SHARE:.0%} of the memory here"


def blocks(array: PixelArray) -> Iterator[np.ndarray]:
    """Consecutive parts of `array` along its first axis, small enough that a temporary copy of one does not matter."""
    rows = max(1, BLOCK_PIXELS // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def extremes(array: PixelArray) -> tuple[float, float]:
    """The least and the greatest pixel."""
    found = [(float(block.min()), float(block.max())) for block in blocks(array)]
    return min(low for low, _ in found), max(high for _, high in found)


def check_shape(shape: tuple[int, ...], *, where: str) -> tuple[int, ...]:
    """Check the shape of images: (count, height, width) or with channels; returns it with channels.

    Raises:
        BadData: It is another one, or there is no image, or they are too small or too large.
    """
    law = "images must be (count, height, width) or (count, height, width, channels) with 1 or 3 channels"
    if len(shape) not in (3, 4):
        advice = {1: "These look like labels.", 2: _unflatten(shape)}.get(len(shape), "")
        raise BadData(f"{where}: {law}, but their shape is {shape}. {advice}".rstrip())
    if shape[0] == 0:
        raise BadData(f"{where}: there must be images, but the shape is {shape}.")
    shaped = shape if len(shape) == 4 else (*shape, 1)
    channels = shaped[3]
    if channels not in CHANNELS:
        advice = {2: "Grey with alpha? Keep images[..., :1].", 4: "Is the fourth alpha? Keep images[..., :3]."}.get(
            channels, ""
        )
        if shape[1] in CHANNELS:
            advice = "The channels come first here: use np.moveaxis(images, 1, -1)."
        elif len(shape) == 4 and channels not in (2, 4) and all(SMALLEST <= side <= LARGEST for side in shape[2:]):
            advice = "Are they films? Take one frame of each, such as images[0] or images[:, 0]."
        elif len(shape) == 4 and shape[2] in CHANNELS:
            advice = "The images are counted last here: use np.moveaxis(images, -1, 0)."
        raise BadData(f"{where}: {law}, but their shape is {shape}.\n{advice}".rstrip())
    if not all(SMALLEST <= side <= LARGEST for side in shaped[1:3]):
        # Square but for the last axis, as MATLAB keeps grey images.
        is_counted_last = len(shape) == 3 and shape[0] == shape[1] <= LARGEST < shape[2]
        advice = "\nAre the images counted last? Then use np.moveaxis(images, -1, 0)." if is_counted_last else ""
        is_small = min(shaped[1:3]) < SMALLEST
        resize = "" if is_small else "\nSet data.resize: {height: 64, width: 64, fit: crop} (or pad, or stretch)."
        raise BadData(
            f"{where}: images must be {SMALLEST} to {LARGEST} pixels high and wide, but they are {_size(shaped)}."
            f"{advice or resize}"
        )
    return shaped


def _from_whole_numbers(array: np.ndarray, where: str, keep: Keep) -> Images:
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        advice = "Scale them to 0 … 255, or to floats in [0, 1]."
        if array.dtype == np.int8:
            advice = "If they were bytes once, images.view(np.uint8) gives them back."
        raise BadData(f"{where}: whole numbers must lie in 0 … 255, but these lie in {low} … {high}.\n{advice}")
    if array.dtype == np.uint8:
        pixels = np.ascontiguousarray(array)
    else:
        pixels = keep((block.astype(np.uint8) for block in blocks(array)), array.shape, np.dtype(np.uint8))
    return Images(pixels=pixels, scale=1.0 if high <= 1 else 255.0)


def _from_floats(array: np.ndarray, where: str, keep: Keep) -> Images:
    finite = np.concatenate([np.isfinite(block).all(axis=(1, 2, 3)) for block in blocks(array)])
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise BadData(
            f"{where}: pixels must be finite, but {len(bad):,} of {len(array):,} images hold NaN or infinity "
            f"(first: image {bad[0]}). Repair or remove them."
        )
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1:
        advice = _into_unit_range(low, high)
        raise BadData(f"{where}: floats must lie in [0, 1], but these lie in [{low:.6g}, {high:.6g}]. {advice}")
    for levels in GRIDS:
        if all(_on_grid(block, levels) for block in blocks(array)):
            found = (np.rint(block.astype(np.float64) * levels).astype(np.uint8) for block in blocks(array))
            return Images(pixels=keep(found, array.shape, np.dtype(np.uint8)), scale=float(levels))
    if array.dtype == np.float32:
        return Images(pixels=np.ascontiguousarray(array), scale=1.0)
    pixels = keep((block.astype(np.float32) for block in blocks(array)), array.shape, np.dtype(np.float32))
    return Images(pixels=pixels, scale=1.0)


def _on_grid(block: np.ndarray, levels: int) -> bool:
    """True if all values are k / levels as closely as their type can say it; multiplying by 1/255 is one unit off."""
    nearest = (np.rint(block.astype(np.float64) * levels) / levels).astype(block.dtype)
    return bool((np.abs(nearest - block) <= np.spacing(block)).all())


def _into_unit_range(low: float, high: float) -> str:
    if low >= -0.05 and high <= 1.05:
        return "A trace of resizing? Use np.clip(images, 0, 1)."
    if low >= -1 and high <= 1:
        return "From [-1, 1] use (images + 1) / 2."
    if low >= 0 and high <= 255:
        # 0 … 16 are scikit-learn's digits; so few bytes are dark that a set without one above 127 has another white.
        return "Divide by 255." if high > 127 else f"Is {high:.6g} white? Then divide by {high:.6g}."
    return "Undo their standardisation, or scale them to [0, 1]."


def _unflatten(shape: tuple[int, ...]) -> str:
    side = math.isqrt(shape[1])
    if side * side == shape[1]:
        return f"Flattened? Use images.reshape(-1, {side}, {side})."
    side = math.isqrt(shape[1] // 3)
    if 3 * side * side == shape[1] and side:
        return (
            f"Flattened colours? Use images.reshape(-1, {side}, {side}, 3),\n"
            f"or np.moveaxis(images.reshape(-1, 3, {side}, {side}), 1, -1) if all of red comes first."
        )
    return "Are they flattened?"


def _size(shape: tuple[int, ...]) -> str:
    height, width, channels = shape[1:]
    return f"{height}×{width}" if channels == 1 else f"{height}×{width}×{channels}"
